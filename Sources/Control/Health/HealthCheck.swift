public typealias HealthCheckName = String

/// What is asked again and again, and how its answers are judged: one entry of `health`, one of a
/// service's `checks`, or one that is built in.
public struct HealthCheck: Sendable, Equatable {
    public var name: HealthCheckName
    public var probe: HealthProbe
    /// From one run to the next. A run that still goes on is never joined by a second one.
    public var period: Duration
    /// An answer that takes longer is a failure.
    public var timeout: Duration
    public var rules: HealthRules
    /// Checks and services without which this one cannot be well: see `HealthVerdict`.
    public var dependsOn: [String]
    /// The service whose check this is. It is asked only while the service runs, and when it finds
    /// the service unhealthy the service is to be started again.
    public var service: ServiceName?

    /// A period shorter than 100 ms counts as 100 ms: checks watch, they do not load.
    public init(
        name: HealthCheckName, probe: HealthProbe, period: Duration = .seconds(30),
        timeout: Duration = .seconds(5), rules: HealthRules = HealthRules(),
        dependsOn: [String] = [], service: ServiceName? = nil
    ) {
        self.name = name
        self.probe = probe
        self.period = max(period, .milliseconds(100))
        self.timeout = timeout
        self.rules = rules
        self.dependsOn = dependsOn
        self.service = service
    }
}

/// How many answers of one kind, in a row, change what is thought of the thing.
public struct HealthRules: Sendable, Equatable {
    /// Failures until it is unhealthy.
    public var threshold: Int
    /// Successes until what was unhealthy is well again.
    public var successThreshold: Int
    /// An answer that took this long or longer is degraded; nil: never.
    public var degradedFrom: Duration?

    /// A threshold below one counts as one.
    public init(threshold: Int = 3, successThreshold: Int = 1, degradedFrom: Duration? = nil) {
        self.threshold = max(1, threshold)
        self.successThreshold = max(1, successThreshold)
        self.degradedFrom = degradedFrom
    }
}

/// How a check asks. A new kind gets a case here and a function in `HealthProber`.
public enum HealthProbe: Sendable, Equatable {
    /// `status`: the one that is expected; nil takes 200 to 299. Redirects are not followed.
    case http(url: String, status: Int?)
    /// A connection is made and closed.
    case tcp(host: String, port: Int)
    /// Exit code 0 is well. No shell sees it; it and what it started are killed at the timeout.
    case command([String])
    /// The file system that the path lies on.
    case disk(path: String, freeBelow: DiskMargin)
    /// A process that opsd did not start, by the file that holds its id.
    case process(pidFile: String)
    /// A file that something writes regularly.
    case fileAge(path: String, staleAfter: Duration)
    /// A supervised service runs and is ready.
    case service(ServiceName)
    case store(StoreProbe)

    /// One word, for names and for people.
    public var kind: String {
        switch self {
        case .http: "http"
        case .tcp: "tcp"
        case .command: "command"
        case .disk: "disk"
        case .process: "process"
        case .fileAge: "file"
        case .service: "service"
        case .store(let probe): probe.kind
        }
    }
}

/// The least that must be free on a file system.
public enum DiskMargin: Sendable, Equatable, CustomStringConvertible {
    /// A share of its size, 0 to 1.
    case share(Double)
    case bytes(Int64)

    public var description: String {
        switch self {
        case .share(let share): ByteText.percent(share)
        case .bytes(let bytes): ByteText.size(Double(bytes))
        }
    }
}
