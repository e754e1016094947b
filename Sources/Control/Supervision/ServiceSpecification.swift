public typealias ServiceName = String

/// What a service is and how it is to be kept: one entry of `services` in the configuration.
public struct ServiceSpecification: Sendable, Equatable {
    public var name: ServiceName
    /// A path, or a name without a slash, which is looked up in the supervisor's own PATH. A
    /// relative path counts from `workingDirectory`.
    public var executable: String
    /// Without the program's own name. No shell ever sees them.
    public var arguments: [String]
    /// Added to the supervisor's own environment; an equal name replaces.
    public var environment: [String: String]
    public var workingDirectory: String?
    /// Services that must be ready before this one starts.
    public var after: [ServiceName]
    /// Services that start only when this one is ready.
    public var before: [ServiceName]
    public var restart: RestartPolicy
    public var stop: StopPolicy
    /// Takes standard output and errors; created owner-only, always appended to. Its directory
    /// must exist.
    public var logFile: String
    /// How long the services after this one wait for it, counted from its first start. Then they
    /// start all the same, and an event says so: a supervisor that waits for ever helps nobody.
    public var readinessTimeout: Duration
    /// A hung process is found within two of these; nil: nobody looks.
    public var watchdog: Duration?
    public var limits: ServiceLimits
    public var rotation: LogRotation

    public init(
        name: ServiceName, executable: String, arguments: [String] = [],
        environment: [String: String] = [:], workingDirectory: String? = nil,
        after: [ServiceName] = [], before: [ServiceName] = [],
        restart: RestartPolicy = RestartPolicy(), stop: StopPolicy = StopPolicy(),
        logFile: String, readinessTimeout: Duration = .seconds(30),
        watchdog: Duration? = .seconds(5), limits: ServiceLimits = ServiceLimits(),
        rotation: LogRotation = LogRotation()
    ) {
        self.name = name
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
        self.workingDirectory = workingDirectory
        self.after = after
        self.before = before
        self.restart = restart
        self.stop = stop
        self.logFile = logFile
        self.readinessTimeout = readinessTimeout
        self.watchdog = watchdog
        self.limits = limits
        self.rotation = rotation
    }

    /// Whether a process that was started as `other` says is the very process that this asks for.
    /// Policies, limits and the order of services can change beside a running process.
    func hasSameProcess(as other: ServiceSpecification) -> Bool {
        executable == other.executable && arguments == other.arguments
            && environment == other.environment && workingDirectory == other.workingDirectory
            && logFile == other.logFile
    }
}

/// What a service may use; nil: no limit of its own.
public struct ServiceLimits: Sendable, Equatable {
    /// Resident bytes of the process and all that it has started. A service over it is stopped and
    /// started again by its policy.
    public var memoryBytes: Int?
    /// Descriptors of each of its processes.
    public var openFiles: Int?

    public init(memoryBytes: Int? = nil, openFiles: Int? = nil) {
        self.memoryBytes = memoryBytes
        self.openFiles = openFiles
    }
}

/// When a log file is cut, and how many of the older ones stay.
public struct LogRotation: Sendable, Equatable {
    public var atBytes: Int
    public var keep: Int

    public init(atBytes: Int = 64_000_000, keep: Int = 5) {
        self.atBytes = atBytes
        self.keep = max(0, keep)
    }
}

/// How a service is asked to go, and how long it has before it is killed.
public struct StopPolicy: Sendable, Equatable {
    public var signal: StopSignal
    public var timeout: Duration

    public init(signal: StopSignal = .TERM, timeout: Duration = .seconds(10)) {
        self.signal = signal
        self.timeout = timeout
    }
}

/// The signals that a service may be stopped with, by the names that the configuration uses.
public enum StopSignal: String, Sendable, Equatable, CaseIterable {
    case HUP
    case INT
    case QUIT
    case KILL
    case USR1
    case USR2
    case TERM
}
