internal import Foundation

#if canImport(Glibc)
    internal import Glibc
#endif

/// What the kernel knows of this process, read at each scrape. Each process of opsd names itself in
/// the label `service`, so that merging them does not make two series of the same name and labels.
public struct ProcessMetrics: Sendable {
    private let labels: [(String, String)]
    private let ticksPerSecond: Double
    private let pageBytes: Double
    private let bootTimeSeconds: Double

    public init(service: String) {
        labels = [("service", service)]
        ticksPerSecond = Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
        pageBytes = Double(max(1, sysconf(Int32(_SC_PAGESIZE))))
        bootTimeSeconds = Self.bootTime() ?? 0
    }

    /// What cannot be read is left out rather than printed as zero.
    public func collect(into sink: inout MetricsSink) {
        if let stat = ProcessStat.read("self") {
            sink.counter(
                "process_cpu_seconds_total", labels, Double(stat.cpuTicks) / ticksPerSecond,
                help: "Total user and system CPU time spent in seconds.")
            sink.gauge(
                "process_resident_memory_bytes", labels, Double(stat.residentPages) * pageBytes,
                help: "Resident memory size in bytes.")
            sink.gauge(
                "process_start_time_seconds", labels,
                bootTimeSeconds + Double(stat.startTicks) / ticksPerSecond,
                help: "Start time of the process since unix epoch in seconds.")
        }
        if let open = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") {
            // One of them is the directory itself, open for this very look.
            sink.gauge(
                "process_open_fds", labels, Double(max(0, open.count - 1)),
                help: "Number of open file descriptors.")
        }
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            sink.gauge(
                "process_max_fds", labels, Double(limit.rlim_cur),
                help: "Maximum number of open file descriptors.")
        }
    }

    private static func bootTime() -> Double? {
        guard let text = ProcessStat.contents("/proc/stat") else { return nil }
        for line in text.split(separator: "\n") where line.hasPrefix("btime ") {
            return Double(line.dropFirst(6))
        }
        return nil
    }
}

/// The fields of /proc/PID/stat that opsd looks at; proc(5) numbers them from one.
struct ProcessStat: Equatable, Sendable {
    let state: Character
    let parent: Int32
    let group: Int32
    let session: Int32
    let cpuTicks: UInt64
    let startTicks: UInt64
    let residentPages: UInt64
    /// What all its threads have read and written since it began; nil where nobody asked.
    var bytesMoved: UInt64?

    /// The command's name stands in parentheses and may itself contain blanks and parentheses, so
    /// the fields are counted from the last one.
    init?(_ text: String) {
        guard let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        guard fields.count > 21, let state = fields[0].first, let parent = Int32(fields[1]),
            let group = Int32(fields[2]), let session = Int32(fields[3]),
            let user = UInt64(fields[11]),
            let system = UInt64(fields[12]), let start = UInt64(fields[19]),
            let resident = UInt64(fields[21])
        else { return nil }
        self.state = state
        self.parent = parent
        self.group = group
        self.session = session
        cpuTicks = user + system
        startTicks = start
        residentPages = resident
    }

    static func read(_ process: String) -> ProcessStat? {
        contents("/proc/\(process)/stat").flatMap { ProcessStat($0) }
    }

    /// `rchar` and `wchar` of /proc/PID/io.
    static func bytesMoved(_ process: String) -> UInt64? {
        contents("/proc/\(process)/io").map { text in
            text.split(separator: "\n").reduce(into: 0) { sum, line in
                guard line.hasPrefix("rchar:") || line.hasPrefix("wchar:") else { return }
                sum &+= line.split(separator: " ").last.flatMap { UInt64($0) } ?? 0
            }
        }
    }

    /// Files of /proc say that they are empty, so they are read to their end.
    static func contents(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 8_192)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            guard count >= 0 else { return nil }
            if count == 0 { break }
            bytes.append(contentsOf: chunk[..<count])
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
