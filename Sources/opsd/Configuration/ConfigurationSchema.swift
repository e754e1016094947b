import Foundation
import Ledger
import StrictYAML
import Trading

/// A JSON Schema for editors, made from what the readers themselves ask for.
struct ConfigurationSchema {
    let shape: YAMLShape
    let title: String
    /// By path, where there is one that does not depend on the machine.
    let defaults: [String: String]

    static var configuration: ConfigurationSchema {
        ConfigurationSchema(
            shape: ConfigurationReader.shape, title: "opsd.yaml", defaults: Self.usualDefaults)
    }
    static var accounts: ConfigurationSchema {
        ConfigurationSchema(
            shape: AccountDirectory.shape, title: "an account file of opsd", defaults: [:])
    }

    /// Draft 7, which the editors' language server understands.
    var text: String {
        var schema = object(shape, "")
        schema["$schema"] = "http://json-schema.org/draft-07/schema#"
        schema["title"] = title
        let options: JSONSerialization.WritingOptions = [
            .prettyPrinted, .sortedKeys, .withoutEscapingSlashes,
        ]
        guard let data = try? JSONSerialization.data(withJSONObject: schema, options: options)
        else { return "{}" }
        return String(decoding: data, as: UTF8.self)
    }

    private func object(_ shape: YAMLShape, _ path: String) -> [String: Any] {
        let forms = shape.kinds.flatMap { form($0, of: shape, path) }
        var result = forms.count == 1 ? forms[0] : ["anyOf": forms]
        if let text = ConfigurationDescriptions.text(path) { result["description"] = text }
        if let text = defaults[path] { result["default"] = Int(text) as Any? ?? text }
        return result
    }

    /// From a configuration that says nothing but a service, a check of it and a health check.
    private static var usualDefaults: [String: String] {
        var settings = Configuration(
            path: "", folder: "", dataDirectory: "", operators: [],
            secrets: SecretSettings(keyFile: "", jwt: Secret("")))
        var service = ServiceSettings(name: "*", program: .command([]))
        service.checks = [ServiceCheck(probe: .command([]))]
        settings.services = [service]
        settings.health = [HealthCheckSettings(name: "*", probe: .command([]))]
        settings.paperBroker.symbols = []
        settings.events = EventSettings(store: "none")
        settings.jobs = [JobSettings.usual]
        settings.verify = [
            VerifySettings(
                name: "*", subject: .dataset(DatasetCheck(dataset: "none")),
                every: VerifySettings.usualCycle)
        ]
        let withoutDefault: Set<String> = [
            "data_dir", "secrets", "accounts", "command", "working_directory", "quotes", "data",
            "every",
        ]
        let entries = ConfigurationEntries.of(settings).filter { entry in
            entry.keys.allSatisfy { !withoutDefault.contains($0) }
                && !["none", "[]"].contains(entry.shown)
        }
        return Dictionary(
            entries.map { entry in
                let keys = entry.keys.map { $0.hasPrefix("[") ? "[]" : $0 }
                return (ConfigurationEntry.path(of: keys), entry.shown)
            }, uniquingKeysWith: { first, _ in first })
    }

    /// Stands for any value: what it is shows only when the file is read.
    private static var reference: [String: Any] {
        ["type": "string", "pattern": #"\$\{(env|file):|^enc:v1:"#]
    }

    private func form(
        _ kind: YAMLShape.Kind, of shape: YAMLShape, _ path: String
    ) -> [[String: Any]] {
        let reference = Self.reference
        return switch kind {
        case .text: [["type": ["string", "number"]]]
        case .integer(let range):
            [
                range.upperBound == Int.max
                    ? ["type": "integer", "minimum": range.lowerBound]
                    : [
                        "type": "integer", "minimum": range.lowerBound,
                        "maximum": range.upperBound,
                    ], reference,
            ]
        case .decimal: [["type": ["number", "string"]]]
        case .boolean: [["type": "boolean"], reference]
        case .duration: [pattern("^[0-9]+(ms|s|m|h|d)$"), reference]
        case .byteSize: [pattern("^[0-9]+([KMGT]i?)?B$"), reference]
        case .margin: [pattern("^([0-9]+(\\.[0-9]+)?%|[0-9]+([KMGT]i?)?B)$"), reference]
        case .timestamp: [["type": "string"]]
        case .choice(let words): [["enum": words], reference]
        case .address: [pattern(":[0-9]+$"), reference]
        case .url(let schemes):
            // The one sign that a scheme may have and that means something else in a pattern.
            [
                pattern("^(\(schemes.joined(separator: "|").replacing("+", with: "\\+")))://"),
                reference,
            ]
        case .list(let item): [["type": "array", "items": object(item, path + "[]")]]
        case .names(let item):
            [["type": "object", "additionalProperties": object(item, path + ".*")]]
        case .mapping: [mapping(shape, path)]
        }
    }

    private func pattern(_ pattern: String) -> [String: Any] {
        ["type": "string", "pattern": pattern]
    }

    private func mapping(_ shape: YAMLShape, _ path: String) -> [String: Any] {
        var result: [String: Any] = [
            "type": "object", "additionalProperties": false,
            "properties": Dictionary(
                shape.keys.map { key in
                    (key.name, object(key.shape, path.isEmpty ? key.name : path + "." + key.name))
                },
                uniquingKeysWith: { first, _ in first }),
        ]
        let required = shape.keys.filter(\.isRequired).map(\.name)
        if !required.isEmpty { result["required"] = required }
        if let keys = shape.alternatives.first {
            result["oneOf"] = keys.map { ["required": [$0]] }
        }
        return result
    }
}
