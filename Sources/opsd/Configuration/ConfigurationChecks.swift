import Foundation
import Ledger
import StrictYAML

/// What must hold between sections.
struct ConfigurationChecks {
    let configuration: Configuration
    /// Where each key's value is written.
    let places: [String: Place]
    /// Of the document, for what is not written.
    let top: Place
    let findings: Findings

    func run() {
        checkDataDirectory()
        checkPorts()
        checkPaperBroker()
        // A section that could not be read looks empty, which is not worth a warning.
        guard !findings.hasErrors else { return }
        checkMarketData()
        if configuration.operators.isEmpty {
            findings.warning(
                place("operators"), "operators is empty",
                "nobody can change anything; add '{name: NAME, role: admin}'")
        } else if !configuration.operators.contains(where: { $0.role == .admin }) {
            findings.warning(
                place("operators"), "no operator is an admin",
                "nobody can approve; give one of them the role admin")
        }
    }

    /// The first of the keys that is written, or the whole document.
    private func place(_ keys: String...) -> Place {
        keys.lazy.compactMap { places[$0] }.first ?? top
    }

    // MARK: Paths

    /// A socket's path must fit into the kernel's 108 bytes with the NUL at its end.
    private static let socketPathBytesMax = 107

    private func checkDataDirectory() {
        let path = configuration.dataDirectory
        if FileManager.default.fileExists(atPath: path), !AbsolutePath.isDirectory(path) {
            findings.error(
                place("data_dir"), "data_dir: \(path) is not a directory", "name a directory")
        }
        let socket = DataLayout(configuration).socket(of: BuiltinService.paperBroker.rawValue)
        let most = Self.socketPathBytesMax - (socket.utf8.count - path.utf8.count)
        guard path.utf8.count > most else { return }
        findings.error(
            place("data_dir"),
            "data_dir: \(path) has \(path.utf8.count) bytes, too many for the sockets in it",
            "name a directory of at most \(most) bytes")
    }

    // MARK: Addresses

    private struct Listener {
        let name: String
        let address: HostPort
        let place: Place
    }

    private func checkPorts() {
        var listeners = [
            Listener(
                name: "listen.ops", address: configuration.listen.ops,
                place: place("listen.ops", "listen")),
            Listener(
                name: "listen.trading", address: configuration.listen.trading,
                place: place("listen.trading", "listen.ops", "listen")),
        ]
        // The embedded paper broker listens where the broker section says that it is found.
        let paper = configuration.broker.paper
        if configuration.hasPaperBroker, let host = paper.host {
            listeners.append(
                Listener(
                    name: "the paper broker", address: HostPort(host: host, port: Self.port(paper)),
                    place: place("broker.paper", "listen.ops", "listen.trading", "listen")))
        }
        for (index, later) in listeners.enumerated() {
            for earlier in listeners[..<index] where Self.clash(earlier.address, later.address) {
                findings.error(
                    later.place,
                    "\(earlier.name) and \(later.name) both listen on port \(later.address.port)",
                    "give one of them another port")
            }
        }
    }

    private static func port(_ url: URL) -> Int {
        url.port ?? (url.scheme == "https" ? 443 : 80)
    }

    private static func clash(_ left: HostPort, _ right: HostPort) -> Bool {
        guard left.port == right.port else { return false }
        let left = canonical(left.host)
        let right = canonical(right.host)
        return left == right || left == "*" || right == "*"
    }

    /// The names of one host are the same text.
    static func canonical(_ host: String) -> String {
        switch host.lowercased() {
        case "0.0.0.0", "::", "*": "*"
        case "localhost", "::1", "127.0.0.1": "127.0.0.1"
        default: host.lowercased()
        }
    }

    // MARK: The paper broker

    private func checkPaperBroker() {
        guard configuration.hasPaperBroker else { return }
        let paper = configuration.broker.paper
        if paper.scheme?.lowercased() == "https" {
            findings.error(
                place("broker.paper"),
                "broker.paper: the built-in paper broker does not speak https",
                "write http://, or remove the service")
        } else if paper.port == nil {
            findings.error(
                place("broker.paper"),
                "broker.paper names no port for the built-in paper broker to listen at",
                "add one, as in http://127.0.0.1:8090")
        }
    }

    /// Somebody may run a paper broker by hand, so this is no error.
    private func checkMarketData() {
        let (paper, data) = (configuration.broker.paper, configuration.broker.data)
        guard !configuration.hasPaperBroker, places["broker.data"] != nil,
            Self.canonical(paper.host ?? "") == Self.canonical(data.host ?? ""),
            Self.port(paper) == Self.port(data)
        else { return }
        findings.warning(
            place("broker.data"),
            "broker.data is the paper broker's address, and no paper broker is among the services",
            "write \(BrokerSettings.alpacaData), or add 'broker: {builtin: paper-broker}'")
    }
}
