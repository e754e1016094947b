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
    /// The datasets that are not read where they should be.
    var degradations: String { root + "/degraded.json" }
    /// What the supervisor must still know after a crash.
    var controlState: String { root + "/control.sqlite" }
    var paperBroker: String { root + "/paper-broker.sqlite" }
    /// A folder for each run of `opsd migrate`, with the rows that it replaced.
    var migrations: String { root + "/migrations" }
    /// What the last verifications have said.
    var verify: String { root + "/verify" }
    /// With which certificates are signed.
    var certificateKey: String { root + "/certificate.key" }
    /// A folder for each plan to put rows of a copy right, with what lay there before.
    var repairs: String { root + "/repairs" }
    var accessLog: String { root + "/log/access.log" }

    func log(of service: String) -> String { root + "/log/\(service).log" }
    func log(ofJob job: String) -> String { root + "/log/jobs/\(job).log" }
    /// The socket at which a built-in service answers its supervisor and commands.
    func socket(of service: String) -> String { root + "/run/\(service).sock" }
    func lock(of name: String) -> String { root + "/run/\(name).lock" }

    /// A socket's path must fit into the kernel's 108 bytes.
    private static let socketPathBytesMax = 107
    private static let socketNames = ["supervisor"] + BuiltinService.allCases.map(\.rawValue)

    func prepare() throws(CommandFailure) {
        let longest = Self.socketNames.map { socket(of: $0).utf8.count }.max() ?? 0
        guard longest <= Self.socketPathBytesMax else {
            let rootMax = Self.socketPathBytesMax - (longest - root.utf8.count)
            throw CommandFailure(
                .badInput,
                "data_dir: \(root) is too long for the sockets in it; "
                    + "choose one of at most \(rootMax) bytes")
        }
        for directory in [root, root + "/run", root + "/log", root + "/log/jobs"] {
            do {
                try FileManager.default.createDirectory(
                    atPath: directory, withIntermediateDirectories: true,
                    attributes: [.posixPermissions: 0o700])
            } catch {
                throw CommandFailure(.badInput, "data_dir: \(error.localizedDescription)")
            }
        }
    }

    /// Whether there is a journal. A directory that cannot be read is no answer.
    func hasJournal() throws(CommandFailure) -> Bool {
        do {
            return try JournalReader.isPresent(in: journal)
        } catch {
            throw CommandFailure(.unknown, "\(error)")
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
