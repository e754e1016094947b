import ArgumentParser
import Foundation
import Ledger
import StrictYAML
import TradingHTTP

/// What every command takes.
struct CommonOptions: ParsableArguments {
    @Option(
        name: [.customShort("c"), .customLong("config")],
        help: "The configuration (default: ./opsd.yaml, then ./data/opsd.yaml).")
    var file: String?

    @Flag(help: "Print one JSON object a line; the last one is the result.")
    var json = false

    func loadConfiguration() throws(CommandFailure) -> Configuration {
        do {
            return try Configuration.load(try ConfigurationLocator().find(file))
        } catch {
            throw CommandFailure(.badInput, "\(error)")
        }
    }

    /// For a built-in service: what the supervisor has accepted, where it was started by one.
    func loadConfiguration(
        supervisor socket: String?
    ) async throws(CommandFailure) -> Configuration {
        guard let socket, let file else { return try loadConfiguration() }
        let texts: ConfigurationTexts
        do {
            texts = try await ConfigurationTexts.ask(socket, for: file)
        } catch {
            FileHandle.standardError.write(
                Data("\(socket) cannot be used, so \(file) is read itself: \(error)\n".utf8))
            return try loadConfiguration()
        }
        do {
            return try Configuration.load(file, accepted: texts)
        } catch {
            throw CommandFailure(.badInput, "\(error)")
        }
    }

    /// Prints lines for people, or one JSON object.
    func show(_ text: @autoclosure () -> String, json: (inout JSONWriter) -> Void) {
        if self.json {
            var writer = JSONWriter()
            writer.object(json)
            print(writer.text)
        } else {
            print(text())
        }
    }
}

/// What the supervisor tells a built-in service besides.
struct ServiceOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The daemon's socket, where the configuration is that it has accepted.",
            visibility: .hidden))
    var supervisor: String?
}

/// Who does it and why: what an operator's commands take.
struct OperatorOptions: ParsableArguments {
    @Option(
        name: .customLong("operator"),
        help: "Who does this (default: the login name, when the configuration lists it).")
    var name: String?

    @Option(help: "Why; it is journaled.")
    var reason: String?

    /// The operator's name, if the configuration lists it with a role that may act.
    func require(_ configuration: Configuration) throws(CommandFailure) -> String {
        let name = name ?? LoginName.current
        let known = configuration.operators.map(\.name)
        guard let found = configuration.operators.first(where: { $0.name == name }) else {
            let nearest = NearestName.nearest(to: name, in: known).map { "; did you mean '\($0)'?" }
            throw CommandFailure(
                .badInput,
                "--operator: '\(name)' is not among the configuration's operators "
                    + "(\(known.joined(separator: ", ")))\(nearest ?? "")")
        }
        guard found.role == .admin || found.role == .trader else {
            throw CommandFailure(.refused, "operator '\(name)' is a \(found.role.rawValue)")
        }
        return name
    }
}
