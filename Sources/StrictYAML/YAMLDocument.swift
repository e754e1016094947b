import Yams

/// One YAML document, parsed and found to be plain: no aliases, anchors, tags, tabs as indentation,
/// duplicate keys or second documents, and neither too large nor too deep.
public struct YAMLDocument: Sendable {
    public static let byteCountMax = 16 << 20
    public static let depthMax = 64
    /// Line breaks, colons and commas: no value is written without one of them.
    public static let separatorCountMax = 2_000_000

    public let file: String
    let node: YAMLNode

    /// `file` is the name that findings print.
    public init(text: String, file: String) throws(StrictYAMLError) {
        self.file = file
        let findings = Findings()
        TextScan(file: file, findings: findings).scan(text)
        try findings.throwIfErrors()
        node = try Self.parse(text, file: file, findings: findings)
        try findings.throwIfErrors()
    }

    /// Reads a file; `name` is what findings print (the path when nil).
    public init(path: String, name: String? = nil) throws(StrictYAMLError) {
        try self.init(text: try Self.text(of: path, name: name), file: name ?? path)
    }

    /// A file's text, whether it is YAML or not; `name` is what findings print.
    public static func text(of path: String, name: String? = nil) throws(StrictYAMLError) -> String
    {
        do {
            return try TextFile.contents(of: path, byteCountMax: byteCountMax)
        } catch {
            throw .single(
                Place(file: name ?? path, line: 1, column: 1), error.problem, error.remedy)
        }
    }

    /// A cursor at the top of the document, which records into `findings` what does not fit.
    public func root(findings: Findings, expansion: Expansion) -> YAMLValue {
        YAMLValue(node: node, name: "the document", findings: findings, expansion: expansion)
    }

    /// Every key that is written, by its path, and where its value stands: `listen.ops`,
    /// `services.core.restart.policy`. An item of a list goes by its `name` where it has one and by
    /// its number otherwise: `health[disk].period`, `checks[1].timeout`.
    public var places: [String: Place] {
        var result: [String: Place] = [:]
        node.collectPlaces(into: &result, under: "")
        return result
    }

    private static func parse(
        _ text: String, file: String, findings: Findings
    ) throws(StrictYAMLError) -> YAMLNode {
        do {
            // The basic resolver has no rules: what a scalar means is decided by its reader, and
            // resolving every key by regular expressions would cost most of the time. The parser
            // must outlive the conversion, because it alone keeps the anchors alive.
            let parser = try Parser(yaml: text, resolver: .basic, encoding: .utf8)
            let root = try parser.singleRoot()
            return withExtendedLifetime(parser) {
                NodeConversion(file: file, findings: findings).convert(root)
            }
        } catch {
            let (place, problem, remedy) = SyntaxError.explain(error, text: text, file: file)
            throw .single(place, problem, remedy)
        }
    }
}

extension StrictYAMLError {
    static func single(_ place: Place, _ problem: String, _ remedy: String) -> StrictYAMLError {
        StrictYAMLError(findings: [
            Finding(severity: .error, place: place, problem: problem, remedy: remedy)
        ])
    }
}
