"""Uploads files with bypy-next to a local cloud, and prints how many seconds that took: BASE APP TOKEN FILE..."""
import json, os, sys, tempfile, time, urllib.parse

import bypy.const as const

base, app, token, *files = sys.argv[1:]
for name in ("PcsUrl", "CPcsUrl", "DPcsUrl", "XPanUrl", "CPcsBaseUrl", "OpenApiUrl", "TokenUrl", "OAuthUrl"):
    setattr(const, name, base + urllib.parse.urlsplit(getattr(const, name)).path)
import bypy.bypy as module

for name, of in (("pcsurl", "PcsUrl"), ("cpcsurl", "CPcsUrl"), ("dpcsurl", "DPcsUrl"), ("xpanurl", "XPanUrl")):
    setattr(module, name, getattr(const, of))
module.ByPy._stream_upload.__defaults__ = (base + "/rest/2.0/pcs/file", "file")
with tempfile.TemporaryDirectory() as folder:
    tokens = {"access_token": token, "refresh_token": "bench-refresh", "expires_in": 2592000}
    with open(os.path.join(folder, "bypy.json"), "w") as file:
        json.dump(tokens, file)
    client = module.ByPy(configdir=folder, apikey="demo", secretkey="demo", retry=3, verbose=0, checkssl=False)
    begun = time.monotonic()
    for number, path in enumerate(files):
        failed = client.upload(path, f"{number}-{os.path.basename(path)}", "overwrite")
        if failed:
            sys.exit(f"{path}: {failed}")
    print(f"\nseconds {time.monotonic() - begun}", flush=True)
os._exit(0)
