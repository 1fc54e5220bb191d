"""Uploads files with pypang to a local cloud, and prints how many seconds that took: BASE APP TOKEN FILE..."""
import os, sys, time

import pypang.client as module
from pypang.config import AppConfig
from pypang.storage import AppState, OAuthToken, config_profile_id

base, app, token, *files = sys.argv[1:]
for name in ("PAN_BASE_URL", "PCS_BASE_URL", "OPENAPI_BASE_URL"):
    url = getattr(module, name)
    setattr(module, name, url.replace("https://" + url.split("/")[2], base))


class Store:
    """A login that is there, and nothing that is written down."""

    def load(self):
        config = AppConfig(app_key="demo", secret_key="demo", app_name=app, app_root=f"/apps/{app}")
        login = OAuthToken(
            access_token=token, refresh_token="bench-refresh", expires_in=2592000, created_at=int(time.time())
        )
        return AppState(config=config, token=login, tokens={config_profile_id(config): login})

    def __getattr__(self, name):
        return lambda *args, **kwargs: None


client = module.BaiduPanClient(store=Store())
begun = time.monotonic()
for number, path in enumerate(files):
    client.upload_file(path, f"/apps/{app}/{number}-{os.path.basename(path)}")
print(f"\nseconds {time.monotonic() - begun}", flush=True)
