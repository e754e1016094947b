import Foundation
import TestSupport
import Testing

@testable import Control

@Suite struct SystemdTests {
    /// A socket as systemd's own, which keeps what it is told.
    private final class Listener {
        let descriptor: Int32

        init?(_ name: [UInt8]) {
            descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
            let size = socklen_t(MemoryLayout<sa_family_t>.size + name.count)
            let code = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, size)
                }
            }
            if code != 0 { return nil }
        }

        deinit { close(descriptor) }

        func next() -> String {
            var bytes = [UInt8](repeating: 0, count: 4_096)
            let count = recv(descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT))
            return String(decoding: bytes[..<max(0, count)], as: UTF8.self)
        }
    }

    @Test func systemdIsToldInItsOwnWords() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("n")
        let abstract = "opsd-test-\(UUID().uuidString)"
        for (name, listener) in [
            (path, Listener(Array(path.utf8))),
            ("@" + abstract, Listener([0] + Array(abstract.utf8))),
        ] {
            let listener = try #require(listener)
            let environment = [
                "NOTIFY_SOCKET": name, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "42",
            ]
            let notifier = try #require(SystemdNotifier(environment: environment, pid: 42))
            #expect(notifier.watchdog == .seconds(3))
            #expect(SystemdNotifier(environment: environment, pid: 43)?.watchdog == nil)
            notifier.ready(status: "2 of 2\nservices")
            #expect(listener.next() == "READY=1\nSTATUS=2 of 2 services")
            notifier.aliveStill()
            #expect(listener.next() == "WATCHDOG=1")
            notifier.reloading()
            #expect(listener.next().contains(/^RELOADING=1\nMONOTONIC_USEC=[0-9]+$/))
            notifier.needsMoreTime(.milliseconds(1_500))
            #expect(listener.next() == "EXTEND_TIMEOUT_USEC=1500000")
            notifier.stopping()
            #expect(listener.next().hasPrefix("STOPPING=1"))
        }
        #expect(SystemdNotifier(environment: [:], pid: 1) == nil)
        #expect(SystemdNotifier(environment: ["NOTIFY_SOCKET": "relative"], pid: 1) == nil)
    }

    /// Of the unit that is delivered.
    @Test(.enabled("systemd-analyze is not installed") { Self.analyzer != nil })
    func theUnitIsSoundAndHardened() throws {
        let analyzer = try #require(Self.analyzer)
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let unit = root.appendingPathComponent("deploy/systemd/opsd.service")
        let text = try String(contentsOf: unit, encoding: .utf8)
        // What outlives the daemon must not keep its files in the daemon's private /tmp.
        #expect(text.contains("PrivateTmp=yes") && text.contains("KillMode=process"))
        #expect(text.contains("\nEnvironment=TMPDIR=%S/opsd/tmp\n"))
        #expect(text.contains("\nStateDirectory=opsd opsd/tmp\n"))
        let directory = try TemporaryDirectory()
        let copy = directory.path("opsd.service")
        // The program need not be installed where the unit says, so another one stands for it.
        try String(contentsOf: unit, encoding: .utf8)
            .replacing("/usr/local/bin/opsd", with: "/bin/true")
            .write(toFile: copy, atomically: true, encoding: .utf8)
        let verified = try Self.run(analyzer, ["verify", copy])
        #expect(verified.code == 0 && verified.text.isEmpty, "\(verified.text)")
        let security = try Self.run(
            analyzer, ["security", "--offline=true", "--threshold=30", "--no-pager", copy])
        #expect(security.code == 0, "\(security.text)")
        #expect(security.text.contains("Overall exposure level"), "\(security.text)")
    }

    static let analyzer = ["/usr/bin/systemd-analyze", "/bin/systemd-analyze"]
        .first(where: FileManager.default.isExecutableFile)

    private static func run(
        _ program: String, _ words: [String]
    ) throws -> (code: Int32, text: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = words
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let data = pipe.fileHandleForReading.readAll()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: data, as: UTF8.self))
    }
}
