// What systemd is told of the daemon: sd_notify(3), by hand, over a Unix datagram socket.

internal import Dispatch
internal import Foundation

#if canImport(Glibc)
    internal import Glibc
#endif

public struct SystemdNotifier: Sendable {
    private let path: [UInt8]
    /// How often systemd expects to hear from the watchdog; nil: it does not.
    public let watchdog: Duration?

    /// Nil when no service manager asks to be told.
    public init?() {
        self.init(environment: ProcessInfo.processInfo.environment, pid: getpid())
    }

    init?(environment: [String: String], pid: Int32) {
        guard let name = environment["NOTIFY_SOCKET"] else { return nil }
        var path = Array(name.utf8)
        // "@" stands for the zero byte with which an abstract socket's name begins.
        if path.first == UInt8(ascii: "@") { path[0] = 0 }
        guard path.count > 1, path[0] == 0 || path[0] == UInt8(ascii: "/"),
            path.count < MemoryLayout.size(ofValue: sockaddr_un().sun_path)
        else { return nil }
        self.path = path
        let isForUs = environment["WATCHDOG_PID"].map { $0 == String(pid) } ?? true
        let microseconds = environment["WATCHDOG_USEC"].flatMap(Int64.init)
        watchdog = isForUs ? microseconds.flatMap { $0 > 0 ? .microseconds($0) : nil } : nil
    }

    public func ready(status: String) { send(["READY=1", "STATUS=\(status)"]) }
    public func status(_ status: String) { send(["STATUS=\(status)"]) }
    public func aliveStill() { send(["WATCHDOG=1"]) }
    public func stopping() { send(["STOPPING=1", "STATUS=stopping the services"]) }

    /// While the daemon starts, reloads or stops: systemd waits so much longer from now on.
    public func needsMoreTime(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        send(["EXTEND_TIMEOUT_USEC=\(seconds * 1_000_000 + attoseconds / 1_000_000_000_000)"])
    }

    /// To be followed by `ready` when it is done.
    public func reloading() {
        let microseconds = DispatchTime.now().uptimeNanoseconds / 1_000
        send(["RELOADING=1", "MONOTONIC_USEC=\(microseconds)"])
    }

    /// Never waits: a message that systemd does not take now is lost, and the next one follows soon.
    private func send(_ lines: [String]) {
        let text = lines.map { $0.replacing("\n", with: " ") }.joined(separator: "\n")
        let descriptor = socket(
            AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path) }
        // An abstract name is as long as it says, zero bytes included.
        let size = socklen_t(MemoryLayout<sa_family_t>.size + path.count)
        withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                _ = sendto(
                    descriptor, text, text.utf8.count,
                    Int32(MSG_DONTWAIT | MSG_NOSIGNAL), pointer, size)
            }
        }
    }
}
