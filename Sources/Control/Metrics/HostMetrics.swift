internal import Dispatch
internal import Foundation
internal import Glibc
internal import Synchronization

/// What the kernel knows of the machine, for a scrape: processors, load, memory, disks, network.
///
/// `refresh` reads it on a thread of its own, since a disk that hangs holds the reader; `collect` gives
/// what was read last, and nothing once that is a minute old: absent, never stale.
public final class HostMetrics: Sendable {
    private struct State: Sendable {
        var sample: HostSample?
        var readAt: ContinuousClock.Instant?
        var isReading = false
        var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
        var lastWaiter: UInt64 = 0
    }

    private static let staleAfter = Duration.seconds(60)

    /// A lock: the reader's thread leaves the sample here, and scrapes take it from their own tasks.
    private let state = Mutex(State())
    private let queue = DispatchQueue(label: "host-metrics", qos: .utility)
    private let directory: String

    /// - Parameter directory: an absolute path whose file system is shown whatever its type.
    public init(holding directory: String) {
        self.directory = directory
    }

    /// Reads anew, and waits for that no longer than `limit`.
    public func refresh(within limit: Duration = .milliseconds(250)) async {
        await withCheckedContinuation { continuation in
            let (ticket, mustRead) = state.withLock { state in
                state.lastWaiter += 1
                state.waiters[state.lastWaiter] = continuation
                defer { state.isReading = true }
                return (state.lastWaiter, !state.isReading)
            }
            Task { [self] in
                try? await Task.sleep(for: limit)
                state.withLock { $0.waiters.removeValue(forKey: ticket) }?.resume()
            }
            if mustRead { queue.async { [self] in read() } }
        }
    }

    private func read() {
        let sample = HostSample.read(holding: directory)
        let waiters = state.withLock { state in
            state.sample = sample
            state.readAt = .now
            state.isReading = false
            defer { state.waiters = [:] }
            return state.waiters.values
        }
        for waiter in waiters { waiter.resume() }
    }

    public func collect(into sink: inout MetricsSink) {
        let (sample, readAt) = state.withLock { ($0.sample, $0.readAt) }
        guard let sample, let readAt, readAt.duration(to: .now) < Self.staleAfter else { return }
        sample.write(to: &sink)
    }
}

/// One look at the machine. What could not be read is empty.
struct HostSample: Sendable {
    var processor: [(mode: String, seconds: Double)] = []
    var load: [(window: String, load: Double)] = []
    var memory: [String: UInt64] = [:]
    var disks: [DiskTraffic] = []
    var spaces: [(mount: String, space: FileSystemSpace)] = []
    var network: [NetworkTraffic] = []

    static func read(holding directory: String) -> HostSample {
        let text = { ProcessStat.contents($0) ?? "" }
        let mounts = Mount.worthShowing(Mount.parse(text("/proc/mounts")), holding: directory)
        return HostSample(
            processor: ProcessorTimes.parse(
                text("/proc/stat"), ticksPerSecond: Double(max(1, sysconf(Int32(_SC_CLK_TCK))))),
            load: LoadAverages.parse(text("/proc/loadavg")),
            memory: MemoryInformation.parse(text("/proc/meminfo")),
            disks: DiskTraffic.parse(text("/proc/diskstats"), devices: wholeDevices()),
            spaces: mounts.compactMap { mount in
                FileSystemSpace(path: mount.path).map { (mount.path, $0) }
            },
            network: NetworkTraffic.parse(text("/proc/net/dev")))
    }

    /// Nil where the kernel does not say; loop devices and RAM disks lie on something else.
    private static func wholeDevices() -> Set<String>? {
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: "/sys/block") else {
            return nil
        }
        return Set(names.filter { !$0.hasPrefix("loop") && !$0.hasPrefix("ram") })
    }

    func write(to sink: inout MetricsSink) {
        for (mode, seconds) in processor {
            sink.counter(
                "opsd_host_cpu_seconds_total", [("mode", mode)], seconds,
                help: "Seconds that all processors together have spent in each mode.")
        }
        for (window, load) in load {
            sink.gauge(
                "opsd_host_load", [("window", window)], load,
                help: "Tasks that run or wait for a processor or a disk, averaged.")
        }
        writeMemory(to: &sink)
        for (mount, space) in spaces {
            sink.gauge(
                "opsd_host_disk_size_bytes", [("mount", mount)], Double(space.sizeBytes),
                help: "Size of the file system, without what is kept for root.")
            sink.gauge(
                "opsd_host_disk_free_bytes", [("mount", mount)], Double(space.freeBytes),
                help: "What everybody may still write to the file system.")
        }
        writeTraffic(to: &sink)
    }

    private func writeMemory(to sink: inout MetricsSink) {
        if let total = memory["MemTotal"] {
            sink.gauge(
                "opsd_host_memory_total_bytes", [], Double(total), help: "Memory of the machine.")
        }
        if let available = memory["MemAvailable"] {
            sink.gauge(
                "opsd_host_memory_available_bytes", [], Double(available),
                help: "Memory that programs can have without swapping.")
        }
    }

    private func writeTraffic(to sink: inout MetricsSink) {
        for disk in disks {
            let labels = [("device", disk.device)]
            sink.counter(
                "opsd_host_disk_read_bytes_total", labels, Double(disk.readBytes),
                help: "Bytes read from the device.")
            sink.counter(
                "opsd_host_disk_written_bytes_total", labels, Double(disk.writtenBytes),
                help: "Bytes written to the device.")
        }
        for link in network {
            let labels = [("interface", link.interface)]
            sink.counter(
                "opsd_host_network_received_bytes_total", labels, Double(link.receivedBytes),
                help: "Bytes that came in over the interface.")
            sink.counter(
                "opsd_host_network_sent_bytes_total", labels, Double(link.sentBytes),
                help: "Bytes that went out over the interface.")
        }
    }
}
