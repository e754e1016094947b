// Broken sections, and what is said of them.

extension ConfigurationRefusalTests {
    static let sections = [
        Refusal(
            "node: \"\"",
            "opsd.yaml:1:7: node is an empty text; write a value, or remove the key"),
        Refusal(
            "node: [a]",
            "opsd.yaml:1:7: node is a list, not text; write text"),
        Refusal(
            "node:",
            "opsd.yaml:1:1: node is empty; write a value, or remove the key"),
        Refusal(
            "time_zone: Etc/Nowhere",
            "opsd.yaml:1:12: time_zone: there is no time zone 'Etc/Nowhere'; write one such as Asia/Shanghai, or UTC"
        ),
        Refusal(
            "data_dir: \"enc:v1:AAAA\"",
            "opsd.yaml:1:11: data_dir is encrypted, and it says where the key is; write it as it stands"
        ),
        Refusal(
            "operators: {lin: admin}",
            "opsd.yaml:1:12: operators is a mapping, not a list; write [first, second]"),
        Refusal(
            "operators: [lin]",
            "opsd.yaml:1:13: item 1 of operators is a single value, not a mapping; write 'key: value' under it"
        ),
        Refusal(
            "operators: [{name: \"a b\", role: admin}]",
            "opsd.yaml:1:20: name: 'a b' is not a name; write 1 to 64 letters, digits, '_', '.', '@' or '-'"
        ),
        Refusal(
            "operators: [{name: a, role: admin, mail: x}]",
            "opsd.yaml:1:36: unknown key 'mail' in item 1 of operators; the keys here are: name, role"
        ),
        Refusal(
            "listen: {trading: \"localhost:0\"}",
            "opsd.yaml:1:19: trading: 'localhost:0' is not an address; write host:port with a port from 1 to 65535, as in 127.0.0.1:8080"
        ),
        Refusal(
            "listen: {trading: \"[::1]:99999\"}",
            "opsd.yaml:1:19: trading: '[::1]:99999' is not an address; write host:port with a port from 1 to 65535, as in 127.0.0.1:8080"
        ),
        Refusal(
            "listen: {ops: \"127.0.0.1:9464\", trading: \"127.0.0.1:9464\"}",
            "opsd.yaml:1:42: listen.ops and listen.trading both listen on port 9464; give one of them another port"
        ),
        Refusal(
            "listen: {api: \"127.0.0.1:1\"}",
            "opsd.yaml:1:10: unknown key 'api' in listen; the keys here are: ops, trading"),
        Refusal(
            "listen: [1]",
            "opsd.yaml:1:9: listen is a list, not a mapping; write 'key: value' under it"),
        Refusal(
            "listen: {trading: \"[::]:9464\"}",
            "opsd.yaml:1:19: listen.ops and listen.trading both listen on port 9464; give one of them another port"
        ),
        Refusal(
            "secrets: {key_file: none.key}",
            "opsd.yaml:1:21: key_file: cannot read none.key: No such file or directory; create it, or correct the path"
        ),
        Refusal(
            "secrets: {key_file: data/accounts}",
            "opsd.yaml:1:21: key_file: data/accounts is not a file; name a file"),
        Refusal(
            "secrets: {key_file: data/accounts/data_accounts.yaml}",
            "opsd.yaml:1:21: key_file: data/accounts/data_accounts.yaml holds no key of 64 hexadecimal digits; make one with 'opsd secret keygen --out FILE'"
        ),
        Refusal(
            "secrets: {jwt: \"${env:NOPE}\"}",
            "opsd.yaml:1:16: the environment variable 'NOPE' is not set; set it before the start"),
        Refusal(
            "secrets: {jwt: \"${vault:x}\"}",
            "opsd.yaml:1:16: '${vault:x}' is not understood; write ${env:NAME} or ${file:PATH}, or $${ for a literal ${"
        ),
        Refusal(
            "secrets: {jwt: \"enc:v1:AAAA\"}",
            "opsd.yaml:1:16: jwt begins with enc:v1: and is not an encrypted value; write what 'opsd secret encrypt' prints"
        ),
        Refusal(
            "secrets: {jwtt: a}",
            "opsd.yaml:1:11: unknown key 'jwtt' in secrets; write jwt"),
        Refusal(
            "secrets: {key_file: \"enc:v1:AAAA\"}",
            "opsd.yaml:1:21: key_file is encrypted, and it says where the key is; write it as it stands"
        ),
        Refusal(
            "secrets: {jwt: \"enc:v1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
            "opsd.yaml:1:16: jwt cannot be decrypted: it was altered, or data/secret.key is not its key; encrypt the value again with 'opsd secret encrypt'"
        ),
        Refusal(
            "accounts: data.yaml",
            "opsd.yaml:1:11: accounts is a single value, not a list; write [first, second]"),
        Refusal(
            "accounts: [data]",
            "data:1:1: data is not a file; name a file"),
        Refusal(
            "accounts: [opsd.yaml]",
            "opsd.yaml:1:12: item 1 of accounts is a single value, not a mapping; write 'key: value' under it"
        ),
        Refusal(
            "limits: {requests_per_second: fast}",
            "opsd.yaml:1:31: requests_per_second: 'fast' is not a whole number; write digits only, as in 10"
        ),
        Refusal(
            "limits: {requests_per_second: 99999999999}",
            "opsd.yaml:1:31: requests_per_second: 99999999999 is out of range; write a number from 1 to 10000000"
        ),
        Refusal(
            "limits: {acquire_timeout: 1h30m}",
            "opsd.yaml:1:27: acquire_timeout: '1h30m' is not a duration; write a number and one of ms, s, m, h, d, as in 30s"
        ),
        Refusal(
            "limits: {request_per_second: 1}",
            "opsd.yaml:1:10: unknown key 'request_per_second' in limits; write requests_per_second"),
        Refusal(
            "engine: {workers: 0}",
            "opsd.yaml:1:19: workers: 0 is out of range; write a number from 1 to 1000"),
        Refusal(
            "engine: {queue: 1.5}",
            "opsd.yaml:1:17: queue: '1.5' is not a whole number; write digits only, as in 10"),
        Refusal(
            "engine: 20",
            "opsd.yaml:1:9: engine is a single value, not a mapping; write 'key: value' under it"),
        Refusal(
            "journal: {roll_at: 256mb}",
            "opsd.yaml:1:20: roll_at: '256mb' is not a size; write a number and one of B, KB, MB, GB, TB, KiB, MiB, GiB, TiB, as in 256MB"
        ),
        Refusal(
            "journal: {keep: for ever}",
            "opsd.yaml:1:17: keep: 'for ever' is not a duration; write a number and one of ms, s, m, h, d, as in 30s"
        ),
        Refusal(
            "broker: {paper: \"https://127.0.0.1:8090\"}",
            "opsd.yaml:1:17: broker.paper: the built-in paper broker does not speak https; write http://, or remove the service"
        ),
        Refusal(
            "broker: {paper: \"http://127.0.0.1\"}",
            "opsd.yaml:1:17: broker.paper names no port for the built-in paper broker to listen at; add one, as in http://127.0.0.1:8090"
        ),
        Refusal(
            "broker: {paper: \"ftp://127.0.0.1:1\"}",
            "opsd.yaml:1:17: paper: a URL with 'ftp' cannot be used here; begin it with http:// or https://"
        ),
        Refusal(
            "broker: {requests_per_minute: -1}",
            "opsd.yaml:1:31: requests_per_minute: -1 is out of range; write a number from 1 to 10000000"
        ),
        Refusal(
            "broker: {kind: ib}",
            "opsd.yaml:1:16: kind: 'ib' is not known; the words here are: alpaca"),
        Refusal(
            "paper_broker: {symbols: {AAPL: 0.5}}",
            "opsd.yaml:1:32: AAPL: 0.5 is below 1, where no price begins; write one such as 189.30"),
        Refusal(
            "paper_broker: {symbols: {AAPL: -1}}",
            "opsd.yaml:1:32: AAPL: -1 is below 1, where no price begins; write one such as 189.30"),
        Refusal(
            "paper_broker: {symbols: {AAPL: 1.005}}",
            "opsd.yaml:1:32: AAPL: 1.005 is not in whole cents; write one such as 189.30"),
        Refusal(
            "paper_broker: {symbols: {AAPL: 10000000}}",
            "opsd.yaml:1:32: AAPL: 10000000 is too large; write less than 10000000"),
        Refusal(
            "paper_broker: {symbols: {AAPL: cheap}}",
            "opsd.yaml:1:32: AAPL: 'cheap' is not a decimal number; write at most 38 digits with at most 18 after the point, as in 100.25"
        ),
        Refusal(
            "paper_broker: {symbols: [AAPL]}",
            "opsd.yaml:1:25: symbols is a list, not a mapping; write 'key: value' under it"),
        Refusal(
            "paper_broker: {seed: -1}",
            "opsd.yaml:1:22: seed: -1 is out of range; write a number from 0 up"),
        Refusal(
            "paper_broker: {cash: -5}",
            "opsd.yaml:1:22: cash: -5 is too small; write a number from 0 up"),
        Refusal(
            "paper_broker: {quotes: data/jwt.key}",
            "opsd.yaml:1:24: quotes: data/jwt.key: line 1 is not the heading; begin it with symbol,timestamp,bid_price,ask_price,last_price,volume"
        ),
        Refusal(
            "paper_broker: {sedd: 1}",
            "opsd.yaml:1:16: unknown key 'sedd' in paper_broker; write seed"),
        Refusal(
            "alerts: {}",
            "opsd.yaml:1:1: alerts is not carried out by this version of opsd; remove it, or use a version that does"
        ),
        Refusal(
            "nod: a",
            "opsd.yaml:1:1: unknown key 'nod' in the document; write node"),
        Refusal(
            "node: a b",
            "opsd.yaml:1:7: node: 'a b' is not a name; write 1 to 64 letters, digits, '_', '.', '@' or '-'"
        ),
        Refusal(
            "time_zone: Asia/Shanhai",
            "opsd.yaml:1:12: time_zone: there is no time zone 'Asia/Shanhai'; write Asia/Shanghai"),
        Refusal(
            "time_zone: EST5",
            "opsd.yaml:1:12: time_zone: there is no time zone 'EST5'; write one such as Asia/Shanghai, or UTC"
        ),
        Refusal(
            "operators: [{name: lin, role: amdin}]",
            "opsd.yaml:1:31: role: 'amdin' is not known; write admin"),
        Refusal(
            "operators: [{name: lin}]",
            "opsd.yaml:1:13: item 1 of operators lacks role; add 'role: …'"),
        Refusal(
            "operators: [{name: a, role: admin}, {name: a, role: admin}]",
            "opsd.yaml:1:44: operator a is listed twice; remove one of the two"),
        Refusal(
            "listen: {ops: 9464}",
            "opsd.yaml:1:15: ops: '9464' is not an address; write host:port with a port from 1 to 65535, as in 127.0.0.1:8080"
        ),
        Refusal(
            "listen: {ops: \"127.0.0.1:8080\"}",
            "opsd.yaml:1:15: listen.ops and listen.trading both listen on port 8080; give one of them another port"
        ),
        Refusal(
            "listen: {ops: \"0.0.0.0:8090\"}",
            "opsd.yaml:1:15: listen.ops and the paper broker both listen on port 8090; give one of them another port"
        ),
        Refusal(
            "secrets: {jwt: short}",
            "opsd.yaml:1:16: jwt has 5 bytes, fewer than 32; write at least 32 random bytes, as 'openssl rand -hex 32' makes them"
        ),
        Refusal(
            "secrets:\n  jwt: ${file:none.key}",
            "opsd.yaml:2:8: cannot read none.key: No such file or directory; create it, or correct the path"
        ),
        Refusal(
            "accounts: [a.yaml]",
            "opsd.yaml:1:12: a.yaml does not exist; create it, or correct the path"),
        Refusal(
            "accounts: [data/accounts/data_accounts.yaml, ./data/accounts/data_accounts.yaml]",
            "opsd.yaml:1:46: ./data/accounts/data_accounts.yaml is named twice; remove one of the two"
        ),
        Refusal(
            "limits: {connections: 0}",
            "opsd.yaml:1:23: connections: 0 is out of range; write a number from 1 to 100000"),
        Refusal(
            "limits: {acquire_timeout: 30}",
            "opsd.yaml:1:27: acquire_timeout: '30' is not a duration; add the unit, as in 30s"),
        Refusal(
            "engine: {worker: 20}",
            "opsd.yaml:1:10: unknown key 'worker' in engine; write workers"),
        Refusal(
            "journal: {roll_at: 256}",
            "opsd.yaml:1:20: roll_at: '256' is not a size; add the unit, as in 256B"),
        Refusal(
            "journal: {roll_at: 1KB}",
            "opsd.yaml:1:20: roll_at: 1KB is too small; write at least 1MB"),
        Refusal(
            "journal: {keep: 1s}",
            "opsd.yaml:1:17: keep: 1s is too short; write at least 1m"),
        Refusal(
            "broker: {kind: alpacca}",
            "opsd.yaml:1:16: kind: 'alpacca' is not known; write alpaca"),
        Refusal(
            "broker: {live: api.alpaca.markets}",
            "opsd.yaml:1:16: live: 'api.alpaca.markets' is not a URL; write one such as http://host/path"
        ),
        Refusal(
            "paper_broker: {symbols: {aapl: 1}}",
            "opsd.yaml:1:26: 'aapl' is no symbol; write up to 32 capitals, digits, '.', '/' or '-'"),
        Refusal(
            "paper_broker: {symbols: {AAPL: 0}}",
            "opsd.yaml:1:32: AAPL: 0 is below 1, where no price begins; write one such as 189.30"),
        Refusal(
            "paper_broker: {quotes: none.csv}",
            "opsd.yaml:1:24: quotes: none.csv: cannot be read; create it, or correct the path"),
        Refusal(
            "switches: []",
            "opsd.yaml:1:1: switches is not carried out by this version of opsd; remove it, or use a version that does"
        ),
        Refusal(
            "\"a\\nb\": 1",
            "opsd.yaml:1:1: unknown key 'a�b' in the document; the keys here are: data_dir, node, time_zone, operators, listen, secrets, limits, engine, journal, paper_broker, stores, datasets, events, verify, services, health, broker, calendars, jobs, accounts"
        ),
    ]
}
