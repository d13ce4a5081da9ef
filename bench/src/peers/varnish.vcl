# Varnish as a cache, streaming misses to all who wait for them. Names in double braces are filled in by varnish.rs.
vcl 4.1;

backend default {
    .host = "{{host}}";
    .port = "{{port}}";
    .first_byte_timeout = 120s;
    .between_bytes_timeout = 120s;
}

sub vcl_backend_response {
    set beresp.do_stream = true;
    set beresp.ttl = 1d;
    set beresp.grace = 0s;
    unset beresp.http.Vary;
    unset beresp.http.Set-Cookie;
}
