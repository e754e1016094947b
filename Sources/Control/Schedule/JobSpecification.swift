public import Foundation

public typealias JobName = String

/// What a job is: a command that is run at certain times, to its end. What the configuration's `jobs`
/// say, and what other sections ask the scheduler for.
public struct JobSpecification: Sendable, Equatable {
    public var name: JobName
    /// A path, or a name without a slash, which is looked up in PATH.
    public var executable: String
    /// Without the program's own name. No shell ever sees them.
    public var arguments: [String]
    public var workingDirectory: String?
    /// Whether its exit codes mean what those of opsd's own commands do.
    public var isOwnCommand: Bool
    public var schedule: Schedule
    /// Of a cron expression.
    public var timeZone: TimeZone
    /// Times at which it does not hold are none.
    public var condition: CalendarCondition?
    /// After it the run is asked to go, and then killed.
    public var timeout: Duration
    public var overlap: JobOverlap
    /// A time that passed while nobody could start the job is made up for when it is no older than
    /// this: once, however many such times there are.
    public var catchUp: Duration
    /// Each time is put off by a part of it that the job's name decides, always the same: jobs of one
    /// time do not all begin at once.
    public var jitter: Duration
    /// Takes standard output and errors, as a service's does. Its directory must exist.
    public var logFile: String
    public var rotation: LogRotation

    public init(
        name: JobName, executable: String, arguments: [String] = [],
        workingDirectory: String? = nil, isOwnCommand: Bool = false, schedule: Schedule,
        timeZone: TimeZone = .gmt, condition: CalendarCondition? = nil,
        timeout: Duration = .seconds(86_400), overlap: JobOverlap = .skip,
        catchUp: Duration = .seconds(86_400), jitter: Duration = .zero, logFile: String,
        rotation: LogRotation = LogRotation(atBytes: 16_000_000, keep: 3)
    ) {
        self.name = name
        self.executable = executable
        self.arguments = arguments
        self.workingDirectory = workingDirectory
        self.isOwnCommand = isOwnCommand
        self.schedule = schedule
        self.timeZone = timeZone
        self.condition = condition
        self.timeout = timeout
        self.overlap = overlap
        self.catchUp = catchUp
        self.jitter = jitter
        self.logFile = logFile
        self.rotation = rotation
    }

    /// How long after each of its times it starts.
    var delay: Duration {
        guard jitter > .zero else { return .zero }
        // FNV-1a: the same on every machine and in every run, which Swift's own hashes are not.
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        return .microseconds(Int64(hash % UInt64(max(1, jitter.microseconds))))
    }

    /// What decides its times. Where that has changed, times before the change were not this job's.
    var timesText: String {
        [schedule.description, timeZone.identifier, condition?.description].compactMap(\.self)
            .joined(separator: "; ")
    }

    /// As the supervisor's processes are started.
    var service: ServiceSpecification {
        ServiceSpecification(
            name: name, executable: executable, arguments: arguments,
            workingDirectory: workingDirectory, logFile: logFile)
    }
}

/// What becomes of a time that comes while the run before it goes on.
public enum JobOverlap: String, Sendable, CaseIterable {
    /// Nothing, but it is counted.
    case skip
    /// It runs when that one has ended. However many such times there are, once.
    case queue
}

/// Why a run was started.
public enum JobTrigger: String, Sendable, CaseIterable {
    case schedule
    case catchUp = "catch-up"
    case manual
}
