# OpenWrt's /var is memory: what has to stay lies in /etc, and /run may not be there.
s|^state_dir = "[^"]*"|state_dir = "/etc/xpand/state"|
s|^socket = "[^"]*"|socket = "/var/run/xpand/xpand.sock"|
