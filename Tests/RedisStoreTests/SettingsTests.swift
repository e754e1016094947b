import Ledger
import TestSupport
import Testing

@testable import RedisStore

/// What is understood and what is refused before any server is asked.
@Suite struct SettingsTests {
    @Test(arguments: [
        ("redis://127.0.0.1", "redis://127.0.0.1:6379/0"),
        ("redis://127.0.0.1:7000/3", "redis://127.0.0.1:7000/3"),
        ("redis://desk:tulip@cache.example:7000/3", "redis://desk@cache.example:7000/3"),
        ("redis://:tu%3Alip@[::1]:7000", "redis://[::1]:7000/0"),
        ("redis://:tulip@x@127.0.0.1", "redis://127.0.0.1:6379/0"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("unix://:tulip@/run/redis.sock?db=2", "unix:///run/redis.sock?db=2"),
        (
            "redis+sentinel://desk:tulip@a:1,b,[::2]:3/mymaster/4",
            "redis+sentinel://desk@a:1,b:26379,[::2]:3/mymaster/4"
        ),
    ]) func aURLIsUnderstood(_ text: String, _ description: String) throws {
        let url = try RedisURL(text)
        #expect(url.description == description)
        #expect((url.password != nil) == text.contains("lip"))
        #expect(!"\(url)".contains("lip"))
        var dumped = ""
        dump(url, to: &dumped)
        #expect(!dumped.contains("lip"))
    }

    @Test func thePasswordIsDecoded() throws {
        #expect(try RedisURL("redis://:tu%3Alip@h").password?.reveal() == "tu:lip")
        #expect(try RedisURL("redis://:tulip@x@h").password?.reveal() == "tulip@x")
        #expect(try RedisURL("redis://u:a:b@h").password?.reveal() == "a:b")
    }

    @Test(arguments: [
        ("127.0.0.1:6379", "begins with"), ("http://tulip@h", "begins with"),
        ("rediss://:tulip@h", "stunnel"), ("rediss://h", "stunnel"), ("redis://", "host"),
        ("redis://:tulip@", "host"),
        ("redis://h:0", "port"), ("redis://h:tulip", "port"), ("redis://h/x", "database"),
        ("redis://:tu/lip@h/0", "%2F"), ("redis://tulip@h", "user:password"),
        ("redis://:tu%zzlip@h", "%25"), ("unix://run/redis.sock", "absolute"),
        ("unix:///run/redis.sock?x=tulip", "?db="), ("redis+sentinel://a:1,b:2", "master"),
        ("redis+sentinel://a:1,/m", "host"), ("redis+sentinel://a:1//0", "master"),
    ]) func aURLIsRefusedWithoutSayingItAgain(_ text: String, _ word: String) {
        let error = #expect(throws: RedisURLError.self) { try RedisURL(text) }
        #expect(error?.description.contains(word) == true, "\(String(describing: error))")
        #expect(error?.description.contains("lip") == false)
    }

    private typealias Make = () throws -> RedisLayout

    @Test func aLayoutThatCannotHoldTheRowsIsRefused() throws {
        let (positions, quotes) = (Rows.positions, Rows.quotes)
        let cases: [(String, Make)] = [
            ("symbol", { try RedisLayout(positions, key: "p:{account_id}") }),
            ("nothing", { try RedisLayout(positions, key: "p:{nothing}") }),
            ("may be null", { try RedisLayout(quotes, key: "q:{symbol}:{bid_price}") }),
            ("twice", { try RedisLayout(positions, key: "p:{symbol}:{symbol}") }),
            ("without its }", { try RedisLayout(positions, key: "p:{symbol") }),
            ("neither in key", { try RedisLayout(positions, key: "p") }),
            ("opsd's own", { try RedisLayout(quotes, key: "opsd:v:{symbol}") }),
            ("opsd's own", { try RedisLayout(quotes, key: "opsd:store", field: "{symbol}") }),
            (
                "leave field out",
                {
                    try RedisLayout(
                        positions, key: "p:{account_id}", field: "{symbol}", value: .hash)
                }
            ),
            (
                "only a cache",
                {
                    try RedisLayout(
                        positions, key: "p:{account_id}", field: "{symbol}",
                        timeToLive: .seconds(5))
                }
            ),
            (
                "no field 'none'",
                { try RedisLayout(quotes, key: "q:{symbol}", value: .text("none")) }
            ),
            (
                "in the key",
                { try RedisLayout(quotes, key: "q:{symbol}", fields: ["symbol": "s"]) }
            ),
            (
                "one name",
                {
                    try RedisLayout(
                        quotes, key: "q:{symbol}", fields: ["bid_price": "p", "ask_price": "p"])
                }
            ),
            (
                "needs a field",
                { try RedisLayout(quotes, key: "q:{symbol}", value: .hash, fields: [:]) }
            ),
            (
                "is no key field",
                { try RedisLayout(Rows.orders, key: "o:{order_id}", field: "{account_id}") }
            ),
            ("no colon", { try RedisLayouts.standard(for: positions.renamed("a:b")) }),
            (
                "key fields only",
                {
                    try RedisLayout(
                        quotes, key: "q:{symbol}:{volume}", timeToLive: .seconds(5))
                }
            ),
        ]
        for (word, make) in cases {
            let error = #expect(throws: RedisLayoutError.self) { try make() }
            #expect(
                error?.description.contains(word) == true, "\(word): \(String(describing: error))")
        }
    }

    @Test func twoDatasetsCannotShareAKey() throws {
        let layouts = [
            try RedisLayout(Rows.orders, key: "x:{order_id}:open"),
            try RedisLayout(Rows.quotes, key: "x:all:{symbol}"),
        ]
        let url = try RedisURL("redis://127.0.0.1")
        let error = #expect(throws: StoreError.self) {
            try RedisStore(name: "hot", url: url, layouts: layouts)
        }
        #expect(error?.description.contains("x:all:{symbol}") == true)
        #expect(throws: StoreError.self) {
            try RedisStore(name: "hot", url: url, layouts: [layouts[0], layouts[0]])
        }
    }

    @Test func aServersRefusalSaysWhatHelps() {
        let kinds: [(String, Bool, String)] = [
            ("OOM command not allowed", true, "maxmemory"),
            ("READONLY You can't write", true, "replica"),
            ("LOADING Redis is loading", true, "disk"),
            ("BUSY Redis is busy", true, "SCRIPT KILL"),
            ("MISCONF Redis is configured", true, "room"),
            ("ERR max number of clients reached", true, "maxclients"),
            ("NOAUTH Authentication required.", false, "url"),
            ("NOPERM this user has no permissions", false, "ACL SETUSER"),
            ("MOVED 866 127.0.0.1:7001", false, "Cluster"),
            ("ERR DB index is out of range", false, "databases"),
            ("ERR unknown command 'UNLINK'", false, "6.2"), ("ERR whatever", false, "whatever"),
        ]
        for (text, passes, word) in kinds {
            let error = RedisProblem.error(text, store: "hot")
            let isPassing = if case .unavailable = error { true } else { false }
            #expect(isPassing == passes, "\(error)")
            #expect(error.description.contains(word))
        }
    }

    @Test func nobodyListeningIsUnavailable() async throws {
        for text in ["redis://127.0.0.1:1", "unix:///nowhere/redis.sock"] {
            let store = try RedisStore(
                name: "hot", url: try RedisURL(text),
                layouts: [try RedisLayouts.standard(for: Rows.orders)])
            let error = await storeError { _ = try await store.position() }
            guard case .unavailable? = error else {
                Issue.record("\(String(describing: error))")
                continue
            }
        }
    }
}
