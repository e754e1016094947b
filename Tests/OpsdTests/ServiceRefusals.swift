// Broken services, and what is said of them.

extension ConfigurationRefusalTests {
    static let services = [
        Refusal(
            "services: [core]",
            "opsd.yaml:1:11: services is a list, not a mapping; write 'key: value' under it"),
        Refusal(
            "services: {\"a b\": {command: [a]}}",
            "opsd.yaml:1:12: 'a b' is not a name; write 1 to 64 letters, digits, '_', '.', '@' or '-'"
        ),
        Refusal(
            "services: {access: {command: [a]}}",
            "opsd.yaml:1:12: a service cannot be called access; give it another name: its log would be the access log"
        ),
        Refusal(
            "services: {core: {builtin: core}, a: {command: a}}",
            "opsd.yaml:1:48: command is a single value, not a list; write [first, second]"),
        Refusal(
            "services: {core: {}}",
            "opsd.yaml:1:18: service core has no program; add 'command: [program, argument]' or 'builtin: core'"
        ),
        Refusal(
            "services: {core: core}",
            "opsd.yaml:1:18: core is a single value, not a mapping; write 'key: value' under it"),
        Refusal(
            "services: {core: {bulitin: core}}",
            "opsd.yaml:1:18: service core has no program; add 'command: [program, argument]' or 'builtin: core'\nopsd.yaml:1:19: unknown key 'bulitin' in core; write builtin"
        ),
        Refusal(
            "services: {core: {builtin: core}, a: {command: [a], environment: {\"A=B\": c}}}",
            "opsd.yaml:1:67: 'A=B' cannot be a variable's name; write NAME"),
        Refusal(
            "services: {core: {builtin: core}, a: {command: [a], environment: [A]}}",
            "opsd.yaml:1:66: environment is a list, not a mapping; write 'key: value' under it"),
        Refusal(
            "services: {core: {builtin: core}, a: {command: [a], working_directory: none}}",
            "opsd.yaml:1:72: none is not a directory; create it, or correct the path"),
        Refusal(
            "services: {core: {builtin: core}, a: {command: [a], ready_timeout: 30}}",
            "opsd.yaml:1:68: ready_timeout: '30' is not a duration; add the unit, as in 30s"),
        Refusal(
            "services: {core: {builtin: core}, a: {command: [a], ready_timeout: 0s}}",
            "opsd.yaml:1:68: ready_timeout: 0s is too short; write at least 1ms"),
        Refusal(
            "services: {core: {builtin: core}, a: {command: [a], watchdog: 50ms}}",
            "opsd.yaml:1:63: watchdog: 50ms is too short; write at least 100ms"),
        Refusal(
            "services: {core: {builtin: core}, a: {command: [a], watchdgo: 5s}}",
            "opsd.yaml:1:53: unknown key 'watchdgo' in a; write watchdog"),
        Refusal(
            "services: {core: {builtin: core}, a: {command: [a], limits: {memory: 512}}}",
            "opsd.yaml:1:70: memory: '512' is not a size; add the unit, as in 512B"),
        Refusal(
            "services: {core: {builtin: core}, a: {command: [a], limits: {memory: 1KB}}}",
            "opsd.yaml:1:70: memory: 1KB is too small; write at least 1MB"),
        Refusal(
            "services: {core: {builtin: core}, a: {command: [a], limits: {open_files: 3}}}",
            "opsd.yaml:1:74: open_files: 3 is out of range; write a number from 16 to 1000000"),
        Refusal(
            "services: {core: {builtin: core}, a: {command: [a], limits: {cpu: 1}}}",
            "opsd.yaml:1:62: unknown key 'cpu' in limits; the keys here are: memory, open_files"),
        Refusal(
            "services: {core: {builtin: core}, a: {command: [a], log: {rotate_at: 1KB}}}",
            "opsd.yaml:1:70: rotate_at: 1KB is too small; write at least 64KB"),
        Refusal(
            "services: {core: {builtin: core}, a: {command: [a], log: {keep: -1}}}",
            "opsd.yaml:1:65: keep: -1 is out of range; write a number from 0 to 1000"),
        Refusal(
            "services: {core: {builtin: core}, a: {command: [a], log: {rotate: 64MB}}}",
            "opsd.yaml:1:59: unknown key 'rotate' in log; write rotate_at"),
        Refusal(
            "services: {core: {builtin: core}, a: {command: [a], restart: {backof: 1s}}}",
            "opsd.yaml:1:63: unknown key 'backof' in restart; write backoff"),
        Refusal(
            "services: {core: {builtin: core}, a: {command: [a], restart: always}}",
            "opsd.yaml:1:62: restart is a single value, not a mapping; write 'key: value' under it"),
        Refusal(
            "services: {core: {builtin: core}, a: {command: [a], checks: {http: \"http://a/\"}}}",
            "opsd.yaml:1:61: checks is a mapping, not a list; write [first, second]"),
        Refusal(
            "services: {core: {builtin: core}, a: {command: [a], checks: [{http: \"http://a/\", tcp: \"a:1\"}]}}",
            "opsd.yaml:1:62: item 1 of checks has 2 probes; write exactly one of http, tcp, command"
        ),
        Refusal(
            "services: {core: {builtin: core}, a: {command: [a], checks: [{http: \"http://a/\", period: 50ms}]}}",
            "opsd.yaml:1:90: period: 50ms is too short; write at least 100ms"),
        Refusal(
            "services: {core: {builtin: core}, a: {command: [a], checks: [{http: \"http://a/\", threshold: 0}]}}",
            "opsd.yaml:1:93: threshold: 0 is out of range; write a number from 1 to 1000"),
        Refusal(
            "services: {core: {builtin: core}, a: {command: [a], checks: [{http: \"http://a/\", success_treshold: 2}]}}",
            "opsd.yaml:1:82: unknown key 'success_treshold' in item 1 of checks; write success_threshold"
        ),
        Refusal(
            "services: {core: {builtin: core}, a: {command: [a], checks: [{http: \"http://a/\", degraded_from: 1s}]}}",
            "opsd.yaml:1:97: degraded_from is not shorter than the timeout; write less than 1s"),
        Refusal(
            "services: {core: {builtin: core}, a: {command: [a], checks: [{tcp: \"a\"}]}}",
            "opsd.yaml:1:68: tcp: 'a' is not an address; write host:port with a port from 1 to 65535, as in 127.0.0.1:8080"
        ),
        Refusal(
            "services: {core: {builtin: core}, a: {command: [a], checks: [{command: []}]}}",
            "opsd.yaml:1:72: command names no program; write [program, argument]"),
        Refusal(
            "services: {core: {builtin: core}, a: {command: [a], checks: [{http: \"http://a/\", status: 200}]}}",
            "opsd.yaml:1:82: unknown key 'status' in item 1 of checks; the keys here are: tcp, command, period, timeout, threshold, success_threshold, degraded_from, http"
        ),
        Refusal(
            "services: {core: {builtin: core}, a: {command: [a], stop: {timeout: never}}}",
            "opsd.yaml:1:69: timeout: 'never' is not a duration; write a number and one of ms, s, m, h, d, as in 30s"
        ),
        Refusal(
            "services: {core: {builtin: core}, a: {command: [a], after: [b]}}",
            "opsd.yaml:1:61: no service is called 'b'; the services are: core"),
        Refusal(
            "services: {core: {builtin: core}, a: {command: [a], before: [a]}}",
            "opsd.yaml:1:62: service a waits for itself; remove it"),
        Refusal(
            "services: {core: {builtin: core}, a: {command: [a], before: [core]}, b: {command: [b], after: [core], before: [a]}}",
            "opsd.yaml:1:12: services wait for each other: core → a → b → core; remove one of these after or before"
        ),
        Refusal(
            "services: {core: {builtin: cor}}",
            "opsd.yaml:1:28: builtin: 'cor' is not known; write core"),
        Refusal(
            "services: {core: {builtin: core}, a: {}}",
            "opsd.yaml:1:38: service a has no program; add 'command: [program, argument]' or 'builtin: core'"
        ),
        Refusal(
            "services: {core: {builtin: core}, a: {command: []}}",
            "opsd.yaml:1:48: command names no program; write [program, argument]"),
        Refusal(
            "services: {core: {builtin: core, command: [a]}}",
            "opsd.yaml:1:43: service core has both builtin and command; remove one of the two"),
        Refusal(
            "services: {core: {builtin: core}, c: {builtin: core}}",
            "opsd.yaml:1:35: core already runs as service core; remove one of the two"),
        Refusal(
            "services: {core: {builtin: core}, a: {command: [a], after: [coer]}}",
            "opsd.yaml:1:61: no service is called 'coer'; write core"),
        Refusal(
            "services: {core: {builtin: core, after: [core]}}",
            "opsd.yaml:1:42: service core waits for itself; remove it"),
        Refusal(
            "services: {core: {builtin: core, after: [a]}, a: {command: [a], after: [b]}, b: {command: [b], after: [core]}}",
            "opsd.yaml:1:12: services wait for each other: core → a → b → core; remove one of these after or before"
        ),
        Refusal(
            "services: {core: {builtin: core, restart: {policy: sometimes}}}",
            "opsd.yaml:1:52: policy: 'sometimes' is not known; the words here are: always, on-failure, never"
        ),
        Refusal(
            "services: {core: {builtin: core, restart: {factor: 0.5}}}",
            "opsd.yaml:1:52: factor: 0.5 is too small; write a number from 1 up"),
        Refusal(
            "services: {core: {builtin: core, restart: {backoff: 5s, limit: 1s}}}",
            "opsd.yaml:1:64: limit is shorter than backoff; write at least 5s"),
        Refusal(
            "services: {core: {builtin: core, checks: [{period: 1s}]}}",
            "opsd.yaml:1:43: item 1 of checks has 0 probes; write exactly one of http, tcp, command"
        ),
        Refusal(
            "services: {core: {builtin: core, stop: {signal: SIGTERM}}}",
            "opsd.yaml:1:49: signal: 'SIGTERM' is not known; the words here are: TERM, INT, QUIT, HUP, USR1, USR2, KILL"
        ),
        Refusal(
            "services: {core: {builtin: core, environment: {A: on}}}",
            "opsd.yaml:1:51: A: on without quotes is a truth value to some readers of YAML; quote it: \"on\""
        ),
    ]
}
