//! Who may ask. The page listens on the loopback, where every program of this machine and every page
//! in its browser could reach it. A request must name this server as its host (or a foreign name that
//! was made to resolve to 127.0.0.1 would read along), and a write must carry the token that only the
//! page itself was given.

use std::net::SocketAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::routes::App;

/// The header of a write.
pub(super) const TOKEN: &str = "x-sidewall-token";

/// A token for this run: 256 bits.
pub(super) fn token() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// Lets a request through, or refuses it.
pub(super) async fn check(State(app): State<App>, request: Request, next: Next) -> Response {
    let refused = refusal(
        request.method(),
        request.headers(),
        app.address(),
        app.token(),
    );
    let mut response = match refused {
        Some(why) => (StatusCode::FORBIDDEN, why).into_response(),
        None => next.run(request).await,
    };
    for (name, value) in super::assets::HEADERS {
        let value = axum::http::HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

fn refusal(
    method: &Method,
    headers: &HeaderMap,
    address: SocketAddr,
    token: &str,
) -> Option<&'static str> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST.as_str()).unwrap_or_default();
    let port = address.port();
    let own = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
    if !own.iter().any(|own| own == host) {
        return Some("this page is served to 127.0.0.1 and localhost only\n");
    }
    if [Method::GET, Method::HEAD].contains(method) {
        return None;
    }
    let origin = text(header::ORIGIN.as_str()).unwrap_or_default();
    let foreign = !origin.is_empty() && !own.iter().any(|own| origin == format!("http://{own}"));
    if foreign || text(TOKEN) != Some(token) {
        return Some("writes are taken from the page itself only\n");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: Method, headers: &[(&'static str, &str)]) -> Option<&'static str> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().expect("a header"));
        }
        let address = "127.0.0.1:8080".parse().expect("an address");
        refusal(&method, &map, address, "secret")
    }

    #[test]
    fn the_page_reads_without_a_token() {
        assert_eq!(asked(Method::GET, &[("host", "127.0.0.1:8080")]), None);
        assert_eq!(asked(Method::GET, &[("host", "localhost:8080")]), None);
    }

    #[test]
    fn a_name_that_was_made_to_point_here_reads_nothing() {
        assert!(asked(Method::GET, &[("host", "evil.example:8080")]).is_some());
        assert!(asked(Method::GET, &[]).is_some());
    }

    #[test]
    fn a_write_needs_the_token_and_comes_from_the_page() {
        let host = ("host", "127.0.0.1:8080");
        let token = (TOKEN, "secret");
        assert!(asked(Method::POST, &[host]).is_some());
        assert!(asked(Method::POST, &[host, (TOKEN, "guess")]).is_some());
        assert!(
            asked(
                Method::POST,
                &[host, token, ("origin", "http://evil.example")]
            )
            .is_some()
        );
        assert_eq!(asked(Method::POST, &[host, token]), None);
        assert_eq!(
            asked(
                Method::DELETE,
                &[host, token, ("origin", "http://127.0.0.1:8080")]
            ),
            None
        );
    }
}
