import StrictYAML

/// Reads `text` with `read` and returns what was found, one finding a line.
func findings(
    in text: String, folder: String = "", _ read: (inout YAMLMapping) -> Void
) -> String {
    let findings = Findings()
    let expansion = Expansion(environment: { $0 == "SET" ? "set" : nil }, folder: folder)
    do {
        let document = try YAMLDocument(text: text, file: "a.yaml")
        _ = document.root(findings: findings, expansion: expansion).mapping { top -> Void? in
            read(&top)
            return ()
        }
    } catch {
        return "\(error)"
    }
    return findings.all.map(\.description).joined(separator: "\n")
}

/// Reads the key `v` of a document that is valid YAML.
func value<Result>(
    _ text: String, folder: String = "", _ read: (YAMLValue) -> Result?
) throws -> Result? {
    let findings = Findings()
    let expansion = Expansion(environment: { $0 == "SET" ? "set" : nil }, folder: folder)
    let document = try YAMLDocument(text: "v: \(text)\n", file: "a.yaml")
    let result = document.root(findings: findings, expansion: expansion).mapping { top in
        top.required("v").flatMap(read)
    }
    try findings.throwIfErrors()
    return result
}

enum Colour: String, CaseIterable {
    case red, green, blue
}
