import ArgumentParser
import Foundation
import StrictYAML
import Trading
import TradingHTTP

/// Validates the configuration, and asks the servers that it names. Everything that is wrong comes out at
/// once.
struct CheckCommand: AsyncParsableCommand {
    /// Which file's schema.
    enum Schema: String, ExpressibleByArgument, CaseIterable {
        case opsd, accounts
    }

    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Validates the configuration and prints what it understood.",
        discussion: """
            Prints every setting, with the defaults marked and secrets as ***. Then it asks each Redis and \
            PostgreSQL how it is set up, and says what to write there; --offline leaves that out. With \
            --schema it prints a JSON Schema for editors instead, and reads no configuration.
            Exit code 1 when a server is not set up as recommended, 2 when the configuration is wrong, 3 \
            when a server does not answer.
            Example: opsd check -c opsd.yaml
                     opsd check --schema > opsd.schema.json
                     opsd check --schema --of accounts > accounts.schema.json
            """)

    @OptionGroup var options: CommonOptions

    @Flag(help: "Print the JSON Schema of a file.")
    var schema = false

    @Flag(help: "Ask no server.")
    var offline = false

    @Option(name: .customLong("of"), help: "Of which file: opsd or accounts.")
    var schemaFile = Schema.opsd

    func run() async throws {
        if schema {
            let schema: ConfigurationSchema =
                schemaFile == .opsd ? .configuration : .accounts
            return print(schema.text)
        }
        let configuration: Configuration
        do {
            configuration = try Configuration.load(try ConfigurationLocator().find(options.file))
        } catch let error as ConfigurationError {
            throw refusal(error)
        } catch {
            throw CommandFailure(.badInput, "\(error)")
        }
        for warning in configuration.warnings {
            FileHandle.standardError.write(Data("\(warning)\n".utf8))
        }
        let summary = ConfigurationSummary(configuration)
        let servers = offline ? [] : await StoreExamination(configuration: configuration).run()
        let report = StoreExaminationReport(outcomes: servers)
        options.show(([summary.description] + report.lines).joined(separator: "\n")) { json in
            Self.write(summary, &json)
            report.write(&json)
        }
        if let failure = report.failure { throw failure }
    }

    /// For people the findings go to standard error alone; for programs they are the result too.
    private func refusal(_ error: ConfigurationError) -> CommandFailure {
        options.show("") { json in
            json.name("findings")
            Self.write(error.findings, &json)
        }
        return CommandFailure(.badInput, "\(error)")
    }

    static func write(_ summary: ConfigurationSummary, _ json: inout JSONWriter) {
        let configuration = summary.configuration
        json.member("file", configuration.path)
        json.member("accounts", configuration.accounts.accounts.count)
        json.name("services")
        json.array(configuration.services) { $0.value($1.name) }
        json.name("settings")
        json.array(summary.entries) { json, entry in
            json.object { json in
                json.member("key", entry.path)
                json.member("value", entry.shown)
                json.name("default")
                json.value(entry.isDefault)
            }
        }
        json.name("warnings")
        json.array(configuration.warnings) { $0.value("\($1)") }
        json.name("findings")
        write(configuration.warnings, &json)
    }

    private static func write(_ findings: [Finding], _ json: inout JSONWriter) {
        json.array(findings) { json, finding in
            json.object { json in
                json.member("severity", finding.severity.rawValue)
                json.member("file", finding.place.file)
                json.member("line", finding.place.line)
                json.member("column", finding.place.column)
                json.member("problem", finding.problem)
                json.member("remedy", finding.remedy)
            }
        }
    }
}
