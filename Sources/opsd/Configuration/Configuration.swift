import Foundation
import Ledger
import StrictYAML
import Trading

/// Everything that `opsd.yaml` and the files it names say, with the defaults filled in. An immutable
/// value; paths are absolute. The defaults are those of the embedded default.
struct Configuration: Sendable, Equatable {
    /// The file itself, and its folder: relative paths and the commands of services begin there.
    var path: String
    var folder: String

    var node = "desk-1"
    /// Of every schedule.
    var timeZone = TimeZone.gmt
    var dataDirectory: String
    var operators: [Operator]
    var listen = ListenSettings()
    var secrets: SecretSettings
    var accountFiles: [AccountFile] = []
    var accounts = AccountDirectory(accounts: [])
    var limits = LimitSettings()
    var engine = EngineSettings()
    var journal = JournalSettings()
    var broker = BrokerSettings()
    /// In the order written.
    var stores: [StoreSettings] = []
    /// In the order written. A dataset of the trading core that is not among them has no store.
    var datasets: [DatasetSettings] = []
    /// Nil: nobody is told of the journal's entries.
    var events: EventSettings?
    /// In the order written.
    var health: [HealthCheckSettings] = []
    /// In the order written, and what `verify` asks for besides.
    var services: [ServiceSettings] = ServiceSettings.embeddedDefault
    var paperBroker = PaperBrokerSettings()
    /// In the order written.
    var calendars: [CalendarSettings] = []
    /// In the order written, and what `verify` asks for besides.
    var jobs: [JobSettings] = []
    /// In the order written.
    var verify: [VerifySettings] = []

    /// The paths of the keys that the file has, as `YAMLDocument.places` names them; everything else
    /// is a default.
    var writtenKeys: Set<String> = []
    var warnings: [Finding] = []
    /// What it was read from.
    var texts = ConfigurationTexts()

    var hasPaperBroker: Bool { services.contains { $0.builtin == .paperBroker } }
}

/// The file is refused: exit code 2. Prints one finding a line.
struct ConfigurationError: Error, Equatable, CustomStringConvertible {
    let findings: [Finding]

    var description: String { StrictYAMLError(findings: findings).description }
}

enum OperatorRole: String, Sendable, CaseIterable {
    case admin, trader, researcher, viewer
}

struct Operator: Sendable, Equatable {
    var name: String
    var role: OperatorRole
}

struct ListenSettings: Sendable, Equatable {
    /// Metrics, health, the console, the operators' API.
    var ops = HostPort(host: "127.0.0.1", port: 9464)
    /// REST and WebSocket.
    var trading = HostPort(host: "127.0.0.1", port: 8080)
}

struct SecretSettings: Sendable, Equatable {
    /// At least as long as the hash of HS256: a shorter key is the weakest part of every token.
    static let jwtByteCountMin = 32

    var keyFile: String
    var jwt: Secret
}

struct LimitSettings: Sendable, Equatable {
    var requestsPerSecond = 10_000
    var accountRequestsPerSecond = 100
    var connections = 2_000
    /// The smaller of this and an account's own number wins.
    var accountConnections = AccountConnectionPool.connectionsMax
    var acquireTimeout = Duration.seconds(30)
}

struct EngineSettings: Sendable, Equatable {
    /// Orders waiting; one more is refused.
    var queue = 10_000
    var workers = 20
}

struct JournalSettings: Sendable, Equatable {
    /// Bytes.
    var rollAt = 256_000_000
    var keep = Duration.seconds(30 * 86_400)
}

enum BrokerKind: String, Sendable, CaseIterable {
    case alpaca
}

struct BrokerSettings: Sendable, Equatable {
    var kind = BrokerKind.alpaca
    var live = BrokerSettings.address("https://api.alpaca.markets")
    var paper = BrokerSettings.address("http://127.0.0.1:8090")
    /// Market data. Left out, it is the paper broker's address where a paper broker is among the
    /// services, and Alpaca's otherwise.
    var data = BrokerSettings.address("http://127.0.0.1:8090")
    /// Of one account, as the broker allows it.
    var requestsPerMinute = 200

    static let alpacaData = address("https://data.alpaca.markets")

    /// For addresses that stand in this source: a slip in one shows at once in the tests.
    private static func address(_ text: String) -> URL {
        URL(string: text) ?? URL(filePath: "/invalid")
    }
}

/// What the embedded paper broker trades with.
struct PaperBrokerSettings: Sendable, Equatable {
    struct Symbol: Sendable, Equatable {
        var symbol: String
        /// The price that the walk begins at.
        var price: ExactDecimal
    }

    /// In the order written.
    var symbols: [Symbol] = PaperBrokerSettings.usualSymbols
    /// Of the prices' random walk: the same seed gives the same prices.
    var seed = 1
    /// What each account begins with.
    var cash = ExactDecimal(100_000)
    /// A CSV file of quotes to play instead of the walk.
    var quotes: String?
    var requestsPerMinute = 200_000

    private static let usualSymbols: [Symbol] = [
        ("AAPL", 18_930), ("TSLA", 24_810), ("GOOGL", 17_045), ("MSFT", 41_525),
        ("AMZN", 18_120), ("NVDA", 12_260), ("META", 50_250), ("NFLX", 62_040),
    ].map { symbol, cents in
        Symbol(
            symbol: symbol,
            price: (try? ExactDecimal(coefficient: cents, scale: 2)) ?? ExactDecimal(100))
    }
}
