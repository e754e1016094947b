import Foundation
import Ledger

/// Where things lie in the data directory.
struct DataLayout: Sendable {
    let root: String

    init(_ configuration: Configuration) {
        root = configuration.dataDirectory
    }

    var journal: String { root + "/journal" }
    var checkpoint: String { root + "/state.sqlite" }
    /// What the supervisor must still know after a crash.
    var controlState: String { root + "/control.sqlite" }
    var paperBroker: String { root + "/paper-broker.sqlite" }
    var accessLog: String { root + "/log/access.log" }

    func log(of service: String) -> String { root + "/log/\(service).log" }
    /// The socket at which a built-in service answers its supervisor and commands.
    func socket(of service: String) -> String { root + "/run/\(service).sock" }
    func lock(of name: String) -> String { root + "/run/\(name).lock" }

    /// A socket's path must fit into the kernel's 108 bytes.
    private static let socketPathBytesMax = 107

    func prepare() throws(CommandFailure) {
        let longest = socket(of: "supervisor")
        guard longest.utf8.count <= Self.socketPathBytesMax else {
            throw CommandFailure(
                .badInput,
                "data_dir: \(root) is too long for the sockets in it; "
                    + "choose one of at most \(Self.socketPathBytesMax - 20) bytes")
        }
        for directory in [root, root + "/run", root + "/log"] {
            do {
                try FileManager.default.createDirectory(
                    atPath: directory, withIntermediateDirectories: true,
                    attributes: [.posixPermissions: 0o700])
            } catch {
                throw CommandFailure(.badInput, "data_dir: \(error.localizedDescription)")
            }
        }
    }

    /// A lock that is held as long as the result lives; refused when another process has it.
    func hold(_ name: String) throws(CommandFailure) -> FileLock {
        do {
            if let lock = try FileLock(path: lock(of: name)) { return lock }
        } catch {
            throw CommandFailure(.unknown, "\(error)")
        }
        throw CommandFailure(
            .refused, "another \(name) is running on \(root); stop it first")
    }
}
