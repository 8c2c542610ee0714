"""Running the emulator as a process of its own."""

import uvicorn

from gitlab_emulator.app import create_emulator
from gitlab_emulator.connections import cuttable_protocol
from gitlab_emulator.settings import EmulatorSettings


def serve(settings: EmulatorSettings) -> None:
    """Serve until a signal ends it. Port 0 takes a free one, which the log names."""
    app = create_emulator(settings.data_dir, external_url=settings.external_url, admin_token=settings.admin_token)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=cuttable_protocol(app.connections),
        ws="none",
        lifespan="on",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=5,
    )
    uvicorn.Server(config).run()
