//! Redirects that are followed, through the whole program.

use super::bystander::Scene;
use super::counts;
use crate::support::{FakeApi, Reply};

#[test]
fn row_106_a_chain_that_leaves_the_first_service_gets_no_credential_again() {
    for status in [301, 302, 303, 307, 308] {
        let other = FakeApi::start(move |request| match request.target.as_str() {
            "/1" => Reply::status(status).header("Location", "/2"),
            _ => Reply::json(1),
        });
        let target = format!("{}/1", other.url());
        let scene = Scene::new(0, move |_| {
            Reply::status(status).header("Location", &target)
        });
        let netrc = scene.place.at(".netrc");
        std::fs::write(&netrc, "machine 127.0.0.1 login me password netrc-sesame\n").unwrap();
        for (number, credential) in [
            &["-u", "me:basic-sesame"][..],
            &["-b", "id=cookie-sesame"],
            &["-H", "Authorization: Bearer literal-sesame"],
            &["-H", "X-Api-Key: {env:KEY}"],
            &["--netrc"],
        ]
        .into_iter()
        .enumerate()
        {
            scene.place.write(format!("texts/{number}"), "hello");
            let before = other.requests();
            let words = [&["-L", "--accept-change"], credential].concat();
            let words = scene.words(&words);
            let variables = [
                ("KEY", "reference-sesame"),
                ("NETRC", netrc.to_str().unwrap()),
            ];
            scene.place.stride_with(&variables, &words).expect(0);
            let log = other.log().split_off(before);
            assert_eq!(log.len(), 2, "{credential:?}");
            let told = format!("{log:?}").to_ascii_lowercase();
            for word in ["sesame", "authorization", "cookie", "x-api-key"] {
                assert!(!told.contains(word), "{credential:?}: {told}");
            }
            let first = &scene.api.log()[scene.api.requests() - 1];
            let told = format!("{:?}", first.request.headers).to_ascii_lowercase();
            let sent = ["sesame", "basic "];
            assert!(sent.iter().any(|word| told.contains(word)), "{told}");
        }
    }
}

/// The service puts a part of the credential into the URL.
#[test]
fn row_118_a_part_of_a_credential_goes_to_no_other_service() {
    let other = FakeApi::start(|_| Reply::json(1));
    let target = format!("{}/?api_key=s3cr3t-Sesame99", other.url());
    let scene = Scene::new(1, move |_| Reply::status(302).header("Location", &target));
    let cookies = "sid=s3cr3t-Sesame99; theme=dark";
    let words = scene.words(&["-L", "--accept-change", "-b", cookies]);
    let told = scene.place.stride(&words).expect(4);
    let told = told
        .says("stopped: the service answers the calls with redirects that stride does not follow")
        .says("/?api_key=[redacted]");
    // The command has -L already.
    assert!(!told.stderr.contains("-L follows"), "{}", told.stderr);
    assert_eq!(other.requests(), 0);
    assert_eq!(scene.place.bystander(), scene.bystander);
}

#[test]
fn row_107_a_service_that_redirects_to_a_dead_one_has_been_called() {
    let nobody = {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    };
    let scene = Scene::new(3, move |_| Reply::status(307).header("Location", &nobody));
    let flags = [
        "-L",
        "--accept-change",
        "--retries",
        "1",
        "--retry-delay",
        "0s",
        "-j",
        "1",
    ];
    scene.run(&flags).says("after a redirect: cannot connect");
    let outcomes = "SELECT DISTINCT outcome FROM attempt JOIN job ON job.id = attempt.job
                    WHERE path LIKE 'texts/%'";
    assert_eq!(scene.place.sql(outcomes).concat(), ["in_doubt"]);
    let calls = scene.calls() as u64;
    // The bystander's call is one more.
    counts(&scene.place, &[("calls", calls + 1)]);
    assert_eq!(scene.place.bystander(), scene.bystander);
}
