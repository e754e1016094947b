import Crypto
import CurlClient
import ExactJSON
import Foundation
import Hummingbird
import Ledger
import Logging
import SQLiteStore
import TestSupport
import Testing
import Trading

@testable import TradingHTTP
@testable import opsd

/// The trading API in this process: a real core, a broker that fills at once, and real HTTP.
struct APIHarness {
    let configuration: Configuration
    let core: TradingCore
    let authority: TokenAuthority
    let api: TradingAPI
    let url: String
    let curl: CurlClient
    let broker: BrokerDouble
    private let accessLogPath: String

    /// The lines that the access log has by now.
    var accesses: [JSONValue] {
        let text = (try? String(contentsOfFile: accessLogPath, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").compactMap { try? JSONValue(parsing: Array($0.utf8)) }
    }

    struct Answer {
        let status: Int
        let text: String
        let json: JSONValue?
        let headers: CurlHeaders

        var data: JSONValue? { json?["data"] }
        /// An envelope that says the same as the status line.
        var isEnvelope: Bool {
            json?["code"]?.integer == status && json?["message"]?.text?.isEmpty == false
                && json?.members?.keys.contains("data") == true
        }
    }

    struct TimedOut: Error {}

    /// - Parameter folder: of a core that ran before, which goes on.
    static func run(
        in folder: TemporaryDirectory? = nil, requestsPerSecond: Int = 1_000_000,
        ordersPerMinute: Int = 1_000_000,
        allRequestsPerSecond: Int = 1_000_000, quotesPerSecond: Int = 1_000_000,
        barsPerMinute: Int = 1_000_000, declared: [Schema] = [],
        declaredBytesMax: Int = 1 << 30, delivery: (any DataDelivery)? = nil,
        _ body: (APIHarness) async throws -> Void
    ) async throws {
        let folder = try folder ?? TemporaryDirectory()
        var path = folder.path("data/opsd.yaml")
        if !FileManager.default.fileExists(atPath: path) {
            path = try EmbeddedDefault.write(in: folder.path("data"), loginName: "lin")
        }
        let configuration = try Configuration.load(
            path, environment: { _ in nil }, loginName: "lin")
        let broker = BrokerDouble()
        var options = Self.options
        options.declared = declared
        options.declaredRowsMax = 1_500
        options.declaredBytesMax = declaredBytesMax
        let core = try await TradingCore.start(
            rules: AccountRules.all(of: configuration.accounts, timeZone: .gmt),
            journalDirectory: folder.path("journal"),
            store: try SQLiteStore(
                path: folder.path("state.sqlite"),
                schemas: SchemaCatalogue(Datasets.catalogue.schemas + declared)),
            broker: broker, options: options)
        let orders = Dictionary(
            uniqueKeysWithValues: configuration.accounts.tradingAccounts.map {
                ($0.id, ordersPerMinute)
            })
        let authority = await TokenAuthority(secret: configuration.secrets.jwt)
        var barSettings = BarBoard.Settings()
        barSettings.barsPerMinute = barsPerMinute
        barSettings.fetchesPerMinute = 1_000_000
        let accessLog = AccessLog(path: folder.path("access.log"))
        let api = TradingAPI(
            core: core, delivery: delivery,
            quotes: QuoteBoard(
                broker: broker, account: "DATA_001", preloaded: [],
                quotesPerSecond: quotesPerSecond, fetchesPerMinute: 1_000_000),
            bars: BarBoard(broker: broker, account: "DATA_001", settings: barSettings),
            directory: configuration.accounts,
            limits: RequestLimits(
                requestsPerSecond: allRequestsPerSecond,
                accountRequestsPerSecond: requestsPerSecond,
                ordersPerMinute: orders),
            authority: authority, accessLog: accessLog)
        let port = try freePort()
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let application = Application(
            router: api.router(),
            configuration: ApplicationConfiguration(
                address: .hostname("127.0.0.1", port: port)), logger: logger)
        let serving = Task { try await application.run() }
        let working = Task { await core.run() }
        let logging = Task { await accessLog.run() }
        let harness = APIHarness(
            configuration: configuration, core: core, authority: authority, api: api,
            url: "http://127.0.0.1:\(port)", curl: CurlClient(),
            broker: broker, accessLogPath: folder.path("access.log"))
        let outcome: Result<Void, any Error>
        do {
            try await harness.wait { core.engine.published.balance("TRADE_003") != nil }
            try await harness.wait { try await harness.call(.get, "/", token: nil).status == 401 }
            try await body(harness)
            outcome = .success(())
        } catch {
            outcome = .failure(error)
        }
        serving.cancel()
        _ = await serving.result
        working.cancel()
        _ = await working.value
        logging.cancel()
        await logging.value
        await harness.curl.shutdown()
        try outcome.get()
    }

    static var options: TradingCore.Options {
        var options = TradingCore.Options()
        options.workers = 1
        options.callsPerWorker = 4
        options.timing.retryFirst = .milliseconds(10)
        options.timing.followFirst = .milliseconds(5)
        options.timing.followLast = .milliseconds(50)
        return options
    }

    func wait(_ condition: () async throws -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(20)
        while (try? await condition()) != true {
            guard ContinuousClock.now < deadline else { throw TimedOut() }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    func token(
        _ accountID: String, _ role: TokenRole = .trader, lifetimeSeconds: Int64 = 3_600
    ) async throws -> String {
        let account = try #require(configuration.accounts[accountID])
        return try await authority.issue(
            account: account, role: role, lifetimeSeconds: lifetimeSeconds, at: .now())
    }

    /// - Parameter token: what follows `Bearer `; nil for no such header.
    func call(
        _ method: CurlRequest.Method, _ path: String, token: String?, body: [UInt8]? = nil,
        authorization: String? = nil, headers further: CurlHeaders = [:]
    ) async throws -> Answer {
        var headers: CurlHeaders = ["Content-Type": "application/json"]
        if let token { headers["Authorization"] = "Bearer \(token)" }
        for field in further.fields { headers[field.name] = field.value }
        if let authorization { headers["Authorization"] = authorization }
        let response = try await curl.send(
            CurlRequest(method, url + path, headers: headers, body: body, timeout: .seconds(20)))
        return Answer(
            status: response.status, text: response.text,
            json: try? JSONValue(parsing: response.body), headers: response.headers)
    }

    func post(_ body: String, token: String) async throws -> Answer {
        try await call(.post, "/api/v1/orders", token: token, body: Array(body.utf8))
    }

    /// Every route of the router: its method, and its path with the parameters still in braces.
    var routes: [(method: CurlRequest.Method, path: String)] {
        get throws {
            try api.router().routes.map { route in
                (try #require(CurlRequest.Method(rawValue: route.method.rawValue)), "\(route.path)")
            }
        }
    }

    /// A token as somebody else would forge it.
    func forged(
        _ algorithm: String, account: String = "TRADE_001", expiresAt: String? = nil,
        signature: (Data, SymmetricKey) -> Data
    ) -> String {
        let now = Timestamp.now().seconds
        let header = #"{"alg":"\#(algorithm)","typ":"JWT"}"#
        let claims = """
            {"account_id":"\(account)","account_type":"trading","role":"admin","permissions":\
            ["trade","read","market_data"],"iat":\(now),"exp":\(expiresAt ?? "\(now + 3_600)"),"jti":"forged"}
            """
        let text = [header, claims].map { Self.encoded(Data($0.utf8)) }.joined(separator: ".")
        let key = SymmetricKey(data: Data(configuration.secrets.jwt.reveal().utf8))
        return text + "." + Self.encoded(signature(Data(text.utf8), key))
    }

    private static func encoded(_ data: Data) -> String {
        data.base64EncodedString().replacing("+", with: "-").replacing("/", with: "_")
            .replacing("=", with: "")
    }
}
