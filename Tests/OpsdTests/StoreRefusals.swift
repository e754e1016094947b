// Broken stores, and what is said of them.

extension ConfigurationRefusalTests {
    static let stores = [
        Refusal(
            "stores: [a]",
            "opsd.yaml:1:9: stores is a list, not a mapping; write 'key: value' under it"),
        Refusal(
            "stores: {hot: redis}",
            "opsd.yaml:1:15: hot is a single value, not a mapping; write 'key: value' under it"),
        Refusal(
            "stores: {\"a b\": {kind: sqlite, path: data/a.sqlite}}",
            "opsd.yaml:1:10: 'a b' is not a name; write 1 to 64 letters, digits, '_', '.', '@' or '-'"
        ),
        Refusal(
            "stores: {hot: {}}",
            "opsd.yaml:1:15: hot lacks kind; add 'kind: …'"),
        Refusal(
            "stores: {hot: {kind: mysql, url: \"mysql://h/d\"}}",
            "opsd.yaml:1:22: kind: 'mysql' is not known; the words here are: files, sqlite, redis, postgres"
        ),
        Refusal(
            "stores: {hot: {kind: reddis, url: \"redis://h\"}}",
            "opsd.yaml:1:22: kind: 'reddis' is not known; write redis"),
        Refusal(
            "stores: {files: {kind: files}}",
            "opsd.yaml:1:17: a files store has a path; add 'path: \"./data/files\"'"),
        Refusal(
            "stores: {hot: {kind: redis}}",
            "opsd.yaml:1:15: a redis store has a url; add 'url: \"redis://127.0.0.1:6379/0\"'"),
        Refusal(
            "stores: {record: {kind: postgres}}",
            "opsd.yaml:1:18: a postgres store has a url; add 'url: \"postgres://opsd@127.0.0.1/opsd\"'"
        ),
        Refusal(
            "stores: {hot: {kind: redis, url: \"redis://h\", path: data/x}}",
            "opsd.yaml:1:47: path belongs to a store of kind files or sqlite; remove it"),
        Refusal(
            "stores: {local: {kind: sqlite, path: data/x.sqlite, url: \"redis://h\", timeout: 5s}}",
            "opsd.yaml:1:53: url belongs to a store of kind redis or postgres; remove it\nopsd.yaml:1:71: timeout belongs to a store of kind redis or postgres; remove it"
        ),
        Refusal(
            "stores: {files: {kind: files, path: data/f, connections: {min: 1}}}",
            "opsd.yaml:1:45: connections belongs to a store of kind redis or postgres; remove it"),
        Refusal(
            "stores: {hot: {kind: redis, urll: \"redis://h\"}}",
            "opsd.yaml:1:15: a redis store has a url; add 'url: \"redis://127.0.0.1:6379/0\"'\nopsd.yaml:1:29: unknown key 'urll' in hot; write url"
        ),
        Refusal(
            "stores: {hot: {kind: redis, url: \"redis://h\", connections: {min: 20, max: 10}}}",
            "opsd.yaml:1:66: min is more than max; write at most 10"),
        Refusal(
            "stores: {hot: {kind: redis, url: \"redis://h\", connections: {max: 0}}}",
            "opsd.yaml:1:66: max: 0 is out of range; write a number from 1 to 1000"),
        Refusal(
            "stores: {hot: {kind: redis, url: \"redis://h\", connections: {idle: 1}}}",
            "opsd.yaml:1:61: unknown key 'idle' in connections; the keys here are: min, max"),
        Refusal(
            "stores: {hot: {kind: redis, url: \"redis://h\", connections: 5}}",
            "opsd.yaml:1:60: connections is a single value, not a mapping; write 'key: value' under it"
        ),
        Refusal(
            "stores: {hot: {kind: redis, url: \"redis://h\", timeout: 0s}}",
            "opsd.yaml:1:56: timeout: 0s is too short; write at least 1ms"),
        Refusal(
            "stores: {hot: {kind: redis, url: \"rediss://:hunter2@h:6379/0\"}}",
            "opsd.yaml:1:34: url begins with rediss://, and this version speaks no TLS to Redis; put stunnel in front and write redis://, or use a Unix socket, as in unix:///run/redis.sock"
        ),
        Refusal(
            "stores: {hot: {kind: redis, url: \"postgres://u:hunter2@h/d\"}}",
            "opsd.yaml:1:34: url is none of a redis store; begin it with redis:// or unix:// or redis+sentinel://"
        ),
        Refusal(
            "stores: {hot: {kind: redis, url: \"h:6379\"}}",
            "opsd.yaml:1:34: url is none of a redis store; begin it with redis:// or unix:// or redis+sentinel://"
        ),
        Refusal(
            "stores: {hot: {kind: redis, url: \"redis://\"}}",
            "opsd.yaml:1:34: url names no host; write one, as in redis://127.0.0.1:6379/0"),
        Refusal(
            "stores: {hot: {kind: redis, url: \"redis://:hunter2@h:99999/0\"}}",
            "opsd.yaml:1:34: url has no port from 1 to 65535; write one, as in redis://127.0.0.1:6379/0"
        ),
        Refusal(
            "stores: {hot: {kind: redis, url: \"redis://:hunter2@h/zero\"}}",
            "opsd.yaml:1:34: url ends with what is no number of a database; write one from 0 up, or none"
        ),
        Refusal(
            "stores: {hot: {kind: redis, url: \"redis://hunter2@h/0\"}}",
            "opsd.yaml:1:34: url has an @ and no password before it; write user:password@ or :password@ before the host"
        ),
        Refusal(
            "stores: {hot: {kind: redis, url: \"redis://:hun/ter2@h/0\"}}",
            "opsd.yaml:1:34: url has an @ after a /; write a / in the password as %2F"),
        Refusal(
            "stores: {hot: {kind: redis, url: \"redis://:hun%ter2@h/0\"}}",
            "opsd.yaml:1:34: url has a % without two hexadecimal digits after it; write a % in user or password as %25"
        ),
        Refusal(
            "stores: {hot: {kind: redis, url: \"unix://run/redis.sock\"}}",
            "opsd.yaml:1:34: url names no socket; write its whole path, as in unix:///run/redis.sock"
        ),
        Refusal(
            "stores: {hot: {kind: redis, url: \"unix:///run/redis.sock?password=hunter2\"}}",
            "opsd.yaml:1:34: url has an option that is not known; write ?db=NUMBER, or leave it out"
        ),
        Refusal(
            "stores: {hot: {kind: redis, url: \"redis+sentinel://a:26379,b:26379\"}}",
            "opsd.yaml:1:34: url names no master after the Sentinels; write one, as in redis+sentinel://127.0.0.1:26379/mymaster/0"
        ),
        Refusal(
            "stores: {hot: {kind: redis, url: \"redis+sentinel://a:26379,:1/m/0\"}}",
            "opsd.yaml:1:34: url names no host; write one, as in redis+sentinel://127.0.0.1:26379/mymaster/0"
        ),
        Refusal(
            "stores: {hot: {kind: redis, url: [\"redis://h\"]}}",
            "opsd.yaml:1:34: url is a list, not text; write text"),
        Refusal(
            "stores: {record: {kind: postgres, url: \"mysql://u:hunter2@h/d\"}}",
            "opsd.yaml:1:40: url is none of a postgres store; begin it with postgres:// or postgresql://"
        ),
        Refusal(
            "stores: {record: {kind: postgres, url: \"postgres://u:hunter2@h\"}}",
            "opsd.yaml:1:40: url names no database; write one, as in postgres://opsd@127.0.0.1:5432/opsd"
        ),
        Refusal(
            "stores: {record: {kind: postgres, url: \"postgres://u:hunter2@h:0/d\"}}",
            "opsd.yaml:1:40: url has no port from 1 to 65535; write one, as in postgres://opsd@127.0.0.1:5432/opsd"
        ),
        Refusal(
            "stores: {record: {kind: postgres, url: \"postgres://u:hun@ter2@h/d\"}}",
            "opsd.yaml:1:40: url has an @ too many; write an @ in the password as %40, and a / as %2F"
        ),
        Refusal(
            "stores: {record: {kind: postgres, url: \"postgres://u:hunter%2@h/d\"}}",
            "opsd.yaml:1:40: url has a % without two hexadecimal digits after it; write a % in user or password as %25"
        ),
        Refusal(
            "stores: {record: {kind: postgres, url: \"postgres://u@h/d?pasword=hunter2\"}}",
            "opsd.yaml:1:40: url has an option that PostgreSQL does not know; write its own, as in ?sslmode=require"
        ),
        Refusal(
            "stores: {a: {kind: sqlite, path: data/a.sqlite}, b: {kind: sqlite, path: ./data/a.sqlite}}",
            "opsd.yaml:1:74: path: store b has the path of store a (line 1); give it one of its own, as in ./data/record.sqlite"
        ),
        Refusal(
            "stores: {files: {kind: files, path: data/f}, local: {kind: sqlite, path: data/f/l.sqlite}}",
            "opsd.yaml:1:74: path: store local lies within store files (line 1); give it one of its own, as in ./data/record.sqlite"
        ),
        Refusal(
            "stores: {a: {kind: redis, url: \"redis://:x@localhost/1\"}, b: {kind: redis, url: \"redis://127.0.0.1:6379/1\"}}",
            "opsd.yaml:1:81: url: store b is the database of store a (line 1); give it one of its own, as in redis://127.0.0.1:6379/0"
        ),
        Refusal(
            "stores: {a: {kind: postgres, url: \"postgres://u@h/d\"}, b: {kind: postgres, url: \"postgresql://w:x@H:5432/d?sslmode=require\"}}",
            "opsd.yaml:1:81: url: store b is the database of store a (line 1); give it one of its own, as in postgres://opsd@127.0.0.1/opsd"
        ),
        Refusal(
            "stores: {files: {kind: files, path: ./data}}",
            "opsd.yaml:1:37: path: store files would hold the whole data directory; give it one of its own, as in ./data/files"
        ),
        Refusal(
            "stores: {files: {kind: files, path: data/journal/f}}",
            "opsd.yaml:1:37: path: store files lies where opsd keeps what is its own; give it one of its own, as in ./data/files"
        ),
        Refusal(
            "stores: {local: {kind: sqlite, path: data/state.sqlite}}",
            "opsd.yaml:1:38: path: store local lies where opsd keeps what is its own; give it one of its own, as in ./data/record.sqlite"
        ),
        Refusal(
            "stores: {files: {kind: files, path: data/jwt.key}}",
            "opsd.yaml:1:37: path: data/jwt.key is not a directory; name a directory"),
        Refusal(
            "stores: {local: {kind: sqlite, path: data/accounts}}",
            "opsd.yaml:1:38: path: data/accounts is a directory; name a file"),
    ]
}
