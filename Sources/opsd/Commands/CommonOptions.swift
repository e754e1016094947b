import ArgumentParser
import Foundation
import Ledger
import StrictYAML

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
