//! Real limiters, nginx and haproxy, between the real program and a fake API. The tests check only counts, never times
//! or shares: `tests/bench/limits/run` measures those.

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpSocket;

use crate::cli::Place;
use crate::support::{FakeApi, Reply, has_tool};

const NGINX: &str = "/usr/sbin/nginx";
const HAPROXY: &str = "/usr/sbin/haproxy";

/// A limiter that runs; dropping it ends it.
struct Limiter {
    child: Child,
    port: Port,
}

/// A port that no other test gets. One server at a time may listen on it; without one, connections are refused.
pub(crate) struct Port(TcpSocket);

impl Port {
    pub(crate) fn reserve() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        Self(socket)
    }

    pub(crate) fn number(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }
}

impl Limiter {
    /// Starts nginx with this zone and this limit before a service.
    fn nginx(place: &Place, zone: &str, limit: &str, service: &FakeApi) -> Self {
        let (reserved, behind) = (Port::reserve(), service.port());
        let port = reserved.number();
        let folder = place.at("nginx");
        fs::create_dir(&folder).unwrap();
        // One process, so that a kill ends all of it.
        let config = format!(
            "daemon off; master_process off; pid nginx.pid; error_log error.log;
            events {{}}
            http {{
                access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
                uwsgi_temp_path uwsgi; scgi_temp_path scgi; {zone}
                upstream service {{ server 127.0.0.1:{behind}; keepalive 32; }}
                server {{
                    listen 127.0.0.1:{port};
                    location / {{
                        {limit} proxy_pass http://service; proxy_http_version 1.1; proxy_set_header Connection '';
                    }}
                }}
            }}"
        );
        let file = folder.join("nginx.conf");
        fs::write(&file, config).unwrap();
        let mut command = Command::new(NGINX);
        command.arg("-p").arg(&folder).arg("-c").arg(&file);
        command.arg("-e").arg(folder.join("error.log"));
        Self::start(&mut command, reserved)
    }

    /// Starts haproxy before a service on this port, which may be down.
    fn haproxy(place: &Place, behind: u16) -> Self {
        let reserved = Port::reserve();
        let port = reserved.number();
        let config = format!(
            "defaults
                mode http
                timeout connect 1s
                timeout client 60s
                timeout server 60s
            listen callers
                bind 127.0.0.1:{port}
                server one 127.0.0.1:{behind} check inter 50ms rise 1 fall 1\n"
        );
        let file = place.at("haproxy.cfg");
        fs::write(&file, config).unwrap();
        Self::start(
            Command::new(HAPROXY).arg("-db").arg("-f").arg(&file),
            reserved,
        )
    }

    fn start(command: &mut Command, port: Port) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(Stdio::null()).spawn().unwrap();
        let mut limiter = Self { child, port };
        while TcpStream::connect(("127.0.0.1", limiter.port.number())).is_err() {
            let ended = limiter.child.try_wait().unwrap();
            assert!(ended.is_none(), "it did not start: {ended:?}");
            std::thread::yield_now();
        }
        limiter
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/{{name}}", self.port.number())
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A service that takes this long for each call.
fn service(ms: u64) -> FakeApi {
    FakeApi::start(move |_| Reply::json("{}").after(Duration::from_millis(ms)))
}

fn count(place: &Place, condition: &str) -> usize {
    let rows = place.sql(&format!("SELECT count(*) FROM {condition}"));
    rows[0][0].parse().unwrap()
}

/// Checks that all files are done, and that the number of failed calls is at most this.
#[track_caller]
fn all_done(place: &Place, files: usize, most_in_vain: usize) {
    let failed = count(place, "attempt WHERE outcome = 'failed'");
    let in_vain = count(place, "attempt WHERE outcome <> 'succeeded'");
    assert_eq!(place.status()["done"], files, "{failed} failed calls");
    assert!(in_vain <= most_in_vain, "{in_vain} calls in vain");
}

/// Calls a service of 100 requests a second behind nginx, which refuses with this status and names no wait.
fn call_through_nginx(status: u16) {
    if !has_tool(NGINX) {
        return;
    }
    let (place, service) = (Place::new(), service(2));
    let zone = "limit_req_zone $binary_remote_addr zone=callers:1m rate=100r/s;";
    let limit = format!("limit_req zone=callers burst=20 nodelay; limit_req_status {status};");
    let nginx = Limiter::nginx(&place, zone, &limit, &service);
    place.texts(500);
    let words = ["run", "--url", &nginx.url(), "-j", "32", "texts"];
    place.stride(&words).expect(0);
    // One in twenty, and those that were in flight when the limit was met first.
    all_done(&place, 500, 500 / 20 + 32);
    assert_eq!(service.requests(), 500);
}

#[test]
fn the_rate_of_nginx_is_found_with_few_refused_calls() {
    call_through_nginx(429);
}

#[test]
fn a_limit_of_503_without_a_wait_fails_no_file() {
    call_through_nginx(503);
}

#[test]
fn the_width_of_nginx_is_found_with_few_refused_calls() {
    if !has_tool(NGINX) {
        return;
    }
    let (place, service) = (Place::new(), service(50));
    let zone = "limit_conn_zone $binary_remote_addr zone=callers:1m;";
    let limit = "limit_conn callers 4; limit_conn_status 429;";
    let nginx = Limiter::nginx(&place, zone, limit, &service);
    place.texts(200);
    let words = ["run", "--url", &nginx.url(), "-j", "16", "texts"];
    place.stride(&words).expect(0);
    all_done(&place, 200, 200 / 20 + 2 * 16);
    assert_eq!(service.requests(), 200);
}

/// Waits until calls have failed for longer than one check takes, or all have ended.
fn until_away_for_a_while(place: &Place) {
    place.until(|| {
        let spread = place.sql(
            "SELECT ifnull(max(started) - min(started), 0) FROM attempt
             WHERE outcome <> 'succeeded'",
        );
        let spread: u64 = spread[0][0].parse().unwrap();
        spread > 1200 || count(place, "counts WHERE pending + running > 0") == 0
    });
}

#[test]
fn a_service_that_is_down_at_first_is_waited_for() {
    if !has_tool(HAPROXY) {
        return;
    }
    let place = Place::new();
    let behind = Port::reserve();
    let haproxy = Limiter::haproxy(&place, behind.number());
    place.texts(200);
    let running = place.begin(&["run", "--url", &haproxy.url(), "-j", "8", "texts"]);
    place.until(|| place.stride(&["status"]).code == Some(0));
    until_away_for_a_while(&place);
    let service = FakeApi::start_on(behind.number(), |_| Reply::json("{}"));
    running.end().expect(0);
    all_done(&place, 200, 10 + 2 * 8);
    assert_eq!(service.requests(), 200);
}

#[test]
fn a_service_that_goes_away_in_between_is_waited_for() {
    if !has_tool(HAPROXY) {
        return;
    }
    let (place, service) = (Place::new(), service(20));
    let haproxy = Limiter::haproxy(&place, service.port());
    place.texts(400);
    let running = place.begin(&["run", "--url", &haproxy.url(), "-j", "8", "texts"]);
    service.wait_for(100);
    let behind = service.port();
    drop(service);
    until_away_for_a_while(&place);
    let _service = FakeApi::start_on(behind, |_| Reply::json("{}"));
    running.end().expect(0);
    all_done(&place, 400, 10 + 2 * 8);
}
