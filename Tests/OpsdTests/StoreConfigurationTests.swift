import DualWrite
import Foundation
import Ledger
import RedisStore
import StrictYAML
import Testing
import Trading
import TradingHTTP

@testable import opsd

/// What is understood of `stores` and `datasets`, and what is shown of it.
@Suite struct StoreConfigurationTests {
    private let folder: ConfigurationFolder

    init() throws {
        folder = try ConfigurationFolder()
    }

    // MARK: Stores

    private static let contract = """
        stores:
          files:  {kind: files, path: ./data/files}
          hot:    {kind: redis, url: "redis://127.0.0.1:6379/0", connections: {min: 10, max: 50}, timeout: 5s}
          record: {kind: postgres, url: "postgres://opsd@127.0.0.1/opsd"}
          local:  {kind: sqlite, path: ./data/record.sqlite}

        datasets:
          positions: {old: files, new: hot, also: [record]}
          deals: {old: files, new: record, read: new, fallback: old}
          held_days:
            kind: declared
            on_failure: roll_forward
            key: [account_id, symbol]
            fields: {days: integer, max_price: decimal}
            old: files
            new: hot
            layout:
              hot:   {key: "acc:held:{account_id}", field: "{symbol}", value: json}
              files: {path: "{account_id}/held_days.json", ignore: [_inc_date]}
        """

    @Test func theContractsStoresAreUnderstood() throws {
        let configuration = try folder.load(Self.contract)
        #expect(
            configuration.stores == [
                StoreSettings(name: "files", kind: .files, path: folder.path("data/files")),
                StoreSettings(name: "hot", kind: .redis, url: Secret("redis://127.0.0.1:6379/0")),
                StoreSettings(
                    name: "record", kind: .postgres,
                    url: Secret("postgres://opsd@127.0.0.1/opsd"),
                    connections: ConnectionSettings(min: 2, max: 10)),
                StoreSettings(
                    name: "local", kind: .sqlite, path: folder.path("data/record.sqlite")),
            ])
        #expect(
            configuration.warnings.map(\.description) == [
                folder.path("opsd.yaml") + ":5:3: warning: no dataset uses store local; "
                    + "name it as old, new or also of one, or remove it"
            ])
    }

    @Test func theContractsDatasetsAreUnderstood() throws {
        let datasets = try folder.load(Self.contract).datasets
        let schema = Schema(
            dataset: "held_days", kind: .declared,
            key: [Field("account_id", .text), Field("symbol", .text)],
            fields: [Field("days", .integer), Field("max_price", .decimal)],
            accountField: "account_id")
        #expect(
            datasets == [
                DatasetSettings(name: "positions", old: "files", new: "hot", also: ["record"]),
                DatasetSettings(
                    name: "deals", old: "files", new: "record", read: .new, fallback: .old),
                DatasetSettings(
                    name: "held_days",
                    declared: DeclaredDataset(
                        kind: .declared, schema: schema, onFailure: .rollForward),
                    old: "files", new: "hot",
                    layout: [
                        "hot": LayoutSettings(
                            key: "acc:held:{account_id}", field: "{symbol}", value: "json"),
                        "files": LayoutSettings(
                            path: "{account_id}/held_days.json", ignored: ["_inc_date"]),
                    ]),
            ])
    }

    @Test func oneOfMinAndMaxIsEnough() throws {
        let connections = { (text: String) in
            try folder.load(
                "stores: {hot: {kind: redis, url: \"redis://h\", connections: {\(text)}}}"
            ).stores.first?.connections
        }
        #expect(try connections("max: 4") == ConnectionSettings(min: 4, max: 4))
        #expect(try connections("min: 80") == ConnectionSettings(min: 80, max: 80))
        #expect(try connections("min: 0") == ConnectionSettings(min: 0, max: 50))
    }

    // MARK: Datasets

    @Test func everyTypeIsUnderstoodAndAQuestionMarkMakesItOptional() throws {
        let dataset = try #require(
            folder.load(
                """
                datasets:
                  all:
                    kind: cache
                    key: {day: integer, account_id: text, at: timestamp}
                    fields: {a: text, b: integer?, c: decimal, d: timestamp?, e: boolean, f: json?}
                """
            ).datasets.first?.declared)
        #expect(dataset.kind == .cache)
        #expect(
            dataset.schema.fields == [
                Field("day", .integer), Field("account_id", .text), Field("at", .timestamp),
                Field("a", .text), Field("b", .integer, optional: true), Field("c", .decimal),
                Field("d", .timestamp, optional: true), Field("e", .boolean),
                Field("f", .json, optional: true),
            ])
        #expect(dataset.schema.keyCount == 3)
        #expect(dataset.schema.accountField == 1)
    }

    @Test func marketDataIsACacheOfOpsdsOwn() throws {
        let configuration = try folder.load(
            """
            stores: {hot: {kind: redis, url: "redis://h"}}
            datasets:
              quotes: {kind: cache, old: hot, layout: {hot: {key: "q:{symbol}", value: hash, ttl: 5s}}}
              bars: {old: hot}
            health: [{name: x, store: hot, dataset: quotes, stale_after: 30s, stale_from: 10}]
            """)
        #expect(
            configuration.datasets.map { $0.declared?.schema } == [Datasets.quotes, Datasets.bars])
        #expect(configuration.datasets.allSatisfy { $0.declared?.kind == .cache })
        #expect(configuration.declaredSchemas.isEmpty && configuration.routeTable.routes.isEmpty)
        #expect(configuration.warnings.isEmpty)
        let market = try #require(try MarketStore(configuration))
        #expect(market.hasQuotes && market.hasBars)
        #expect(try MarketStore(folder.load("node: desk")) == nil)
        let layout = try OpenStores.redisLayout(
            Datasets.quotes, configuration.datasets[0].layout["hot"],
            cacheTimeToLive: configuration.quoteTimeToLive)
        #expect(layout.timeToLive == .seconds(5) && layout.key == "q:{symbol}")
    }

    @Test func aDatasetWithoutAnAccountBelongsToNone() throws {
        let text = "datasets: {calendar: {kind: declared, key: [day], fields: {}}}"
        let dataset = try #require(folder.load(text).datasets.first?.declared)
        #expect(dataset.schema.accountField == nil)
        #expect(dataset.onFailure == .rollForward)
        #expect(
            try folder.warnings(text)
                == "opsd.yaml:1:22: warning: dataset calendar names no store; "
                + "add 'old: …', unless the core's own copy is enough")
    }

    @Test func layoutsOfEveryKindAreUnderstood() throws {
        let layout = try folder.load(
            """
            stores:
              files: {kind: files, path: data/f}
              hot: {kind: redis, url: "unix:///run/r.sock"}
              record: {kind: postgres, url: "postgres:///d?host=/run/postgresql"}
            datasets:
              seen:
                kind: cache
                key: [symbol]
                fields: {price: decimal, note: text?}
                old: files
                also: [hot, record]
                layout:
                  files: {path: "seen.csv", format: csv, fields: [price]}
                  hot: {key: "seen:{symbol}", value: hash, fields: {price: p, note: n1}, ttl: 300s}
                  record: {table: desk.Seen, columns: {price: Price}}
            """
        ).datasets.first?.layout
        #expect(
            layout == [
                "files": LayoutSettings(
                    fields: ["price": "price"], path: "seen.csv", format: "csv"),
                "hot": LayoutSettings(
                    key: "seen:{symbol}", value: "hash", fields: ["price": "p", "note": "n1"],
                    timeToLive: .seconds(300)),
                "record": LayoutSettings(table: "desk.Seen", columns: ["price": "Price"]),
            ])
    }

    /// The account of an order is no part of its key, and never changes.
    @Test func theDocumentsLayoutOfOrdersIsTaken() throws {
        let text = """
            stores: {hot: {kind: redis, url: "redis://h"}}
            datasets:
              orders: {old: hot, layout: {hot: {key: "acc:orders:{account_id}", field: "{order_id}"}}}
              positions: {old: hot, layout: {hot: {key: "acc:positions:{account_id}", field: "{symbol}"}}}
            """
        #expect(folder.refusal(text) == "taken")
    }

    /// What could never name one file does not clash.
    @Test func pathsThatDifferInTheirPlainPartsAreTaken() {
        let text = """
            stores: {files: {kind: files, path: data/f}}
            datasets:
              positions: {old: files, layout: {files: {path: "{account_id}/positions.json"}}}
              deals: {old: files, layout: {files: {path: "{account_id}/d-{deal_id}.json"}}}
              cash_flows: {old: files, layout: {files: {path: "{account_id}/c-{flow_id}.json"}}}
              balances: {old: files, layout: {files: {path: "{account_id}.json"}}}
            """
        #expect(folder.refusal(text) == "taken")
    }

    // MARK: What is shown

    @Test(arguments: [
        ("redis", "redis://h", "redis://h:6379/0", "redis h:6379/0"),
        (
            "redis", "redis://:pw@LOCALHOST:6380/3", "redis://LOCALHOST:6380/3",
            "redis 127.0.0.1:6380/3"
        ),
        ("redis", "redis://me:p@w:x@[::1]/", "redis://me@[::1]:6379/0", "redis 127.0.0.1:6379/0"),
        (
            "redis", "unix://me:pw@/run/../r.sock?db=2", "unix://me@/run/../r.sock?db=2",
            "redis /r.sock/2"
        ),
        (
            "redis", "redis+sentinel://:pw@b:1,a/m", "redis+sentinel://b:1,a:26379/m/0",
            "redis a:26379,b:1/m/0"
        ),
        ("postgres", "postgres://u:pw@H/d", "postgres://u@H:5432/d", "postgres h:5432/d"),
        (
            "postgres", "postgresql://u@h:6/d?sslmode=require&password=pw&sslkey=pw",
            "postgres://u@h:6/d?password=***&sslkey=***&sslmode=require", "postgres h:6/d"
        ),
        (
            "postgres", "postgres://u:pw@/d?host=/run/postgresql", "postgres://u@/run/postgresql/d",
            "postgres /run/postgresql:5432/d"
        ),
        (
            "postgres", "postgres://?host=h&port=7&dbname=d&user=u", "postgres://u@h:7/d",
            "postgres h:7/d"
        ),
    ])
    func aURLIsShownWithoutItsPassword(
        _ kind: String, _ text: String, _ shown: String, _ identity: String
    ) throws {
        let url = try StoreURL.read(text, of: try #require(StoreKind(rawValue: kind)))
        #expect(url.shown == shown)
        #expect(url.identity == identity)
        #expect(!url.shown.contains("pw"))
    }

    @Test func theSummaryShowsWhereStoresAreAndNoPassword() throws {
        let configuration = try folder.load(
            """
            stores:
              hot: {kind: redis, url: "redis://desk:planted@cache.example:6390/2"}
              quorum: {kind: redis, url: "redis+sentinel://:planted@a,b,c/main/1"}
              record: {kind: postgres, url: "postgres://opsd:planted@db.example/desk?sslpassword=planted"}
            datasets:
              positions: {old: hot, new: record, also: [quorum]}
              held: {kind: declared, key: [symbol], fields: {days: integer?}, old: hot, layout: {hot: {key: "h:{symbol}"}}}
            """)
        let summary = ConfigurationSummary(configuration).description
        #expect(!summary.contains("planted"))
        for line in [
            "    url: redis://desk@cache.example:6390/2\n",
            "    url: redis+sentinel://a:26379,b:26379,c:26379/main/1\n",
            "    url: postgres://opsd@db.example:5432/desk?sslpassword=***\n",
            "      max: 10  (default)\n", "    timeout: 5s  (default)\n",
            "    read: old  (default)\n",
            "      symbol: text  (default)\n", "      days: integer?\n",
            "    on_failure: roll_forward  (default)\n", "        key: h:{symbol}\n",
            "        value: json  (default)\n", "        ttl: none  (default)\n",
        ] {
            #expect(summary.contains(line), "\(line) in \(summary)")
        }
        var json = JSONWriter()
        json.object { CheckCommand.write(ConfigurationSummary(configuration), &$0) }
        #expect(json.text.contains("\"redis://desk@cache.example:6390/2\""))
        #expect(!json.text.contains("planted"))
        #expect(!"\(configuration)".contains("planted"))
        var dumped = ""
        dump(configuration, to: &dumped)
        #expect(!dumped.contains("planted"))
    }

    /// Whatever is wrong with a URL, what is said of it repeats none of it.
    @Test func noRefusalRepeatsAURL() {
        let secret = "hunter2"
        let refusals = ConfigurationRefusalTests.stores.filter { $0.text.contains(secret) }
        #expect(refusals.count >= 10)
        for refusal in refusals { #expect(!refusal.message.contains(secret)) }
    }

    @Test func aPasswordMayComeFromElsewhere() throws {
        let configuration = try folder.load(
            "stores: {hot: {kind: redis, url: \"redis://:${env:TOKEN}@h/0\"}}")
        #expect(configuration.stores.first?.url == Secret("redis://:tell-nobody@h/0"))
        #expect(!ConfigurationSummary(configuration).description.contains("tell-nobody"))
        #expect(
            folder.refusal("stores: {hot: {kind: redis, url: \"${env:TOKEN}\"}}")
                == "opsd.yaml:1:34: url is none of a redis store; "
                + "begin it with redis:// or unix:// or redis+sentinel://")
    }

    @Test func aPathThatNoFileCanHaveIsRefused() {
        let path = "/" + String(repeating: "a/", count: 3_000)
        #expect(
            folder.refusal("stores: {a: {kind: files, path: \(path)}}")
                == "opsd.yaml:1:33: path has 6000 bytes, too many for a file; write at most 4095")
    }

    // MARK: The schema

    @Test func theSchemasPatternTakesEverySchemeAndNoOther() throws {
        let schema = try JSONSerialization.jsonObject(
            with: Data(ConfigurationSchema.configuration.text.utf8))
        let patterns = Self.patterns(in: schema).filter { $0.contains("redis") }
        let pattern = try Regex(try #require(patterns.first))
        for url in ["redis://h", "unix:///s", "redis+sentinel://a/m", "postgres://h/d"] {
            #expect(url.prefixMatch(of: pattern) != nil, "\(url)")
        }
        #expect("redissentinel://a/m".prefixMatch(of: pattern) == nil)
        #expect("rediss://h".prefixMatch(of: pattern) == nil)
    }

    private static func patterns(in schema: Any) -> [String] {
        if let list = schema as? [Any] { return list.flatMap(patterns(in:)) }
        guard let mapping = schema as? [String: Any] else { return [] }
        return [mapping["pattern"] as? String].compactMap { $0 }
            + mapping.values.flatMap(patterns(in:))
    }

    // MARK: Size

    @Test func aThousandStoresAndDatasetsAreCompared() throws {
        let numbers = 0..<1_000
        let stores = numbers.map { "  s\($0): {kind: sqlite, path: data/s/\($0).sqlite}\n" }
        let datasets = numbers.map {
            "  d\($0): {kind: declared, key: [a], fields: {b: text}, old: s\($0)}\n"
        }
        let started = ContinuousClock.now
        let configuration = try folder.load(
            "stores:\n" + stores.joined() + "datasets:\n" + datasets.joined())
        #expect(configuration.stores.count == 1_000)
        #expect(configuration.warnings == [])
        // Linear: were each store compared with all others by their text, this would show.
        #expect(ContinuousClock.now - started < .seconds(60))
    }
}
