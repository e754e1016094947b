import Foundation
import StrictYAML
import Trading

/// A JSON Schema for editors, made from what the readers themselves ask for.
struct ConfigurationSchema {
    let shape: YAMLShape
    let title: String

    static var configuration: ConfigurationSchema {
        ConfigurationSchema(shape: ConfigurationReader.shape, title: "opsd.yaml")
    }
    static var accounts: ConfigurationSchema {
        ConfigurationSchema(shape: AccountDirectory.shape, title: "an account file of opsd")
    }

    /// Draft 7, which the editors' language server understands.
    var text: String {
        var schema = Self.object(shape)
        schema["$schema"] = "http://json-schema.org/draft-07/schema#"
        schema["title"] = title
        let options: JSONSerialization.WritingOptions = [
            .prettyPrinted, .sortedKeys, .withoutEscapingSlashes,
        ]
        guard let data = try? JSONSerialization.data(withJSONObject: schema, options: options)
        else { return "{}" }
        return String(decoding: data, as: UTF8.self)
    }

    private static func object(_ shape: YAMLShape) -> [String: Any] {
        let forms = shape.kinds.flatMap { form($0, of: shape) }
        return forms.count == 1 ? forms[0] : ["anyOf": forms]
    }

    /// Stands for any value: what it is shows only when the file is read.
    private static var reference: [String: Any] {
        ["type": "string", "pattern": #"\$\{(env|file):|^enc:v1:"#]
    }

    private static func form(_ kind: YAMLShape.Kind, of shape: YAMLShape) -> [[String: Any]] {
        switch kind {
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
            [pattern("^(\(schemes.joined(separator: "|")))://"), reference]
        case .list(let item): [["type": "array", "items": object(item)]]
        case .names(let item): [["type": "object", "additionalProperties": object(item)]]
        case .mapping: [mapping(shape)]
        }
    }

    private static func pattern(_ pattern: String) -> [String: Any] {
        ["type": "string", "pattern": pattern]
    }

    private static func mapping(_ shape: YAMLShape) -> [String: Any] {
        var result: [String: Any] = [
            "type": "object", "additionalProperties": false,
            "properties": Dictionary(
                shape.keys.map { ($0.name, object($0.shape)) },
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
