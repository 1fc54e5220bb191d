# DSM keeps a package's things below /var/packages, also when it is upgraded.
s|^state_dir = "[^"]*"|state_dir = "/var/packages/xpand/var/state"|
s|^socket = "[^"]*"|socket = "/var/packages/xpand/var/xpand.sock"|
s|/etc/xpand/|/var/packages/xpand/etc/|
