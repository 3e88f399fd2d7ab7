"""Configurations of the programs: reverse proxies before the service, and forward proxies."""

from tests.wire.programs import Program

# ---- before the service

_NGINX = """
daemon off;
user root;
worker_processes 2;
pid nginx.pid;
error_log stderr;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    client_max_body_size 64m;
    upstream service { server 127.0.0.1:%(service)s; keepalive 64; }
    server {
        listen 127.0.0.1:%(port)s {listen};
        {lines}
        location / {
            proxy_pass http://service;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
    }
}
"""


def nginx(*lines: str, tls: bool = False) -> Program:
    """Return nginx, with *lines* for its server."""
    if tls:
        lines += ("ssl_certificate %(identity)s;", "ssl_certificate_key %(identity)s;")
    text = _NGINX.replace("{listen}", "ssl" if tls else "").replace("{lines}", "\n".join(lines))
    return Program("nginx", "-p %(folder)s -c configuration -e stderr", text, is_tls=tls)


_HAPROXY = """
defaults
    mode http
    retries {retries}
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend front
    bind 127.0.0.1:%(port)s {bind}
    {lines}
    default_backend service
backend service
    server service 127.0.0.1:%(service)s
"""


def haproxy(*lines: str, tls: bool = False, retries: int = 0) -> Program:
    """Return HAProxy, with *lines* for its frontend; it connects again up to *retries* times."""
    text = _HAPROXY.replace("{bind}", "ssl crt %(identity)s" if tls else "")
    text = text.replace("{lines}", "\n".join(lines)).replace("{retries}", str(retries))
    return Program("haproxy", "-f configuration", text, is_tls=tls)


CADDY = Program(
    "caddy",
    "run --config configuration --adapter caddyfile",
    """
{
    admin off
    auto_https off
}
http://127.0.0.1:%(port)s {
    reverse_proxy 127.0.0.1:%(service)s
}
""",
)

VARNISH = Program(
    "varnishd",
    "-j none -F -n %(folder)s/work -f %(folder)s/configuration -a 127.0.0.1:%(port)s -s malloc,32m",
    """
vcl 4.1;
backend service { .host = "127.0.0.1"; .port = "%(service)s"; }
""",
)

# Without retry=0 it would be away for a minute itself once it did not reach the service.
APACHE = Program(
    "apache2",
    "-D FOREGROUND -f %(folder)s/configuration",
    """
ServerRoot %(folder)s
ServerName front.example
Listen 127.0.0.1:%(port)s
PidFile apache.pid
ErrorLog /dev/stderr
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
ProxyPass / http://127.0.0.1:%(service)s/ retry=0
""",
)

# ---- on the way to it


def tinyproxy(*lines: str) -> Program:
    """Return tinyproxy, with *lines* of its own."""
    own = ("Port %(port)s", "Listen 127.0.0.1", "Timeout 60", "MaxClients 64", "LogLevel Info")
    return Program("tinyproxy", "-d -c configuration", "\n".join((*own, *lines, "")))


_SQUID = """
http_port 127.0.0.1:%(port)s
http_access {access} all
cache deny all
access_log none
cache_log stdio:/dev/stderr
pid_filename none
netdb_filename none
pinger_enable off
visible_hostname proxy.example
shutdown_lifetime 0 seconds
cache_effective_user proxy
"""


def squid(access: str = "allow") -> Program:
    """Return Squid, which is to "allow" or "deny" everything."""
    return Program("squid", "-N -f %(folder)s/configuration", _SQUID.replace("{access}", access))
