import ArgumentParser
import Foundation
import Logging
import Trading
import TradingHTTP

/// The daemon and the two built-in services that it runs.
struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Runs the daemon: starts the services, keeps them alive, serves metrics.",
        discussion: """
            Where there is no configuration, the embedded default is written to ./data first.
            Example: opsd run -c opsd.yaml
            """)

    @OptionGroup var options: CommonOptions

    func run() async throws {
        let found: (path: String, isNew: Bool)
        do {
            found = try ConfigurationLocator().findOrWriteDefault(options.file)
        } catch {
            throw CommandFailure(.badInput, "\(error)")
        }
        let configuration: Configuration
        do {
            configuration = try Configuration.load(found.path)
        } catch {
            throw CommandFailure(.badInput, "\(error)")
        }
        for warning in configuration.warnings {
            FileHandle.standardError.write(Data("\(warning)\n".utf8))
        }
        if found.isNew { print("opsd: wrote the embedded default to \(found.path)") }
        try await SupervisorProcess(configuration: configuration).run()
    }
}

struct CoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "core",
        abstract: "Runs the trading core; the daemon does this for you.",
        discussion: "Example: opsd core -c opsd.yaml")

    @OptionGroup var options: CommonOptions
    @OptionGroup var service: ServiceOptions

    func run() async throws {
        try await CoreProcess(
            configuration: await options.loadConfiguration(supervisor: service.supervisor)
        ).run()
    }
}

struct PaperBrokerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "paper-broker",
        abstract: "Runs the embedded broker, which speaks Alpaca's dialect.",
        discussion: "Example: opsd paper-broker -c opsd.yaml")

    @OptionGroup var options: CommonOptions
    @OptionGroup var service: ServiceOptions

    func run() async throws {
        try await PaperBrokerProcess(
            configuration: await options.loadConfiguration(supervisor: service.supervisor)
        ).run()
    }
}
