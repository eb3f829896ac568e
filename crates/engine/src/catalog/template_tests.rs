use proptest::prelude::*;

use super::*;

fn names(values: &[(&str, Json)]) -> Arc<Names> {
    let values = values
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()));
    Arc::new(Names {
        settings: Arc::new(Settings(values.collect())),
        port: 8080,
    })
}

fn html(source: &str, values: &[(&str, Json)]) -> Result<String, String> {
    render(source, Escape::Html, names(values))
}

#[test]
fn values_are_filled_in_and_escaped() {
    let values = [
        ("a", Json::from("<x>")),
        ("n", Json::from(-3)),
        ("b", Json::from(true)),
    ];
    let text = "{{ settings.a }}|{{ settings.n }}|{% if settings.b %}on{% endif %}|{{ port }}\n";
    assert_eq!(html(text, &values), Ok("&lt;x&gt;|-3|on|8080\n".to_owned()));
}

#[test]
fn there_is_no_way_around_the_escaping() {
    let values = [("a", Json::from("<x>"))];
    for way in [
        "{{ settings.a|safe }}",
        "{{ settings.a|e }}",
        "{{ settings.a|upper }}",
        "{% autoescape false %}{{ settings.a }}{% endautoescape %}",
        "{% autoescape 'none' %}{{ settings.a }}{% endautoescape %}",
        "{% set x %}{{ settings.a }}{% endset %}{{ x }}",
        "{% filter safe %}{{ settings.a }}{% endfilter %}",
        "{{ settings.a ~ settings.a }}",
        "{{ [settings.a] }}",
        "{{ settings }}",
        "{{ settings.a.x }}",
    ] {
        let text = html(way, &values).unwrap_or_default();
        assert!(!text.contains('<'), "{way}: {text}");
    }
}

#[test]
fn a_value_is_never_a_template() {
    let values = [("a", Json::from("{{ port }}{% if x %}"))];
    assert_eq!(
        html("{{ settings.a }}", &values),
        Ok("{{ port }}{% if x %}".to_owned())
    );
}

#[test]
fn work_and_size_are_bounded() {
    let long = "x".repeat(8000);
    let values = [("a", Json::from(long.as_str()))];
    let deep = "{% for a in settings.a %}".repeat(4) + "x" + &"{% endfor %}".repeat(4);
    assert!(html(&deep, &values).is_err());
    let wide = "{{ settings.a }}".repeat(200);
    assert!(html(&wide, &values).is_err(), "1.6 MB");
    assert!(
        html(&"{{ settings.a }}".repeat(100), &values).is_ok(),
        "0.8 MB"
    );
}

#[test]
fn unknown_names_and_other_templates_are_errors() {
    assert_eq!(
        used_settings("{{ settings.a }}{{ settings.b }}{{ port }}").map(|used| used.len()),
        Ok(2)
    );
    for bad in [
        "{{ host }}",
        "{{ settings }}",
        "{{ settings['a'] }}",
        "{{ range(3) }}",
        "{{ settings.a",
    ] {
        assert!(used_settings(bad).is_err(), "{bad}");
    }
    for bad in [
        "{% include '/etc/passwd' %}",
        "{% extends 'x' %}",
        "{{ settings.zzz }}",
    ] {
        assert!(html(bad, &[]).is_err(), "{bad}");
    }
}

#[test]
fn an_error_shows_no_value() {
    let values = [("a", Json::from("hunter2$"))];
    let error = render("{{ settings.a }}", Escape::Nginx, names(&values)).unwrap_err();
    assert!(!error.contains("hunter2"), "{error}");
    assert!(error.contains("line 1"), "{error}");
}

proptest! {
    #[test]
    fn no_template_makes_it_fall_over(source in "[{}% a-z.|\"'()\\[\\]0-9#~\n-]{0,80}") {
        let _either = used_settings(&source);
        let _either = html(&source, &[("a", Json::from("<"))]);
    }
}
