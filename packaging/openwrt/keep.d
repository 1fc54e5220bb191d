/etc/xpand/config.toml
/etc/xpand/secrets/
/etc/xpand/state/accounts/
/etc/xpand/state/device.json
