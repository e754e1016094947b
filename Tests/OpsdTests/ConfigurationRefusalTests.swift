import Testing

@testable import opsd

/// Exact messages, place included: people search for them.
@Suite struct ConfigurationRefusalTests {
    struct Refusal: Sendable, CustomTestStringConvertible {
        let text: String
        let message: String
        init(_ text: String, _ message: String) {
            self.text = text
            self.message = message
        }
        /// The last line: those before it are what it speaks of.
        var testDescription: String { String(text.split(separator: "\n").last ?? "") }
    }

    private let folder: ConfigurationFolder

    init() throws {
        folder = try ConfigurationFolder()
    }

    @Test(
        arguments: sections + services + stores + datasets + layouts + events + health + storeChecks
            + jobs + verify + documents)
    func aBadConfigurationIsRefused(_ example: Refusal) {
        #expect(folder.refusal(example.text) == example.message)
    }

    /// What `documents` has is refused before any key is looked at.
    static let documents = [
        Refusal(
            "a: 1\na: 2",
            "opsd.yaml:2:1: key 'a' is already written in line 1; keep one of the two"),
        Refusal(
            "node: a\n\tb: c",
            "opsd.yaml:2:1: a tab in the indentation; write spaces"),
        Refusal(
            "node: &x a",
            "opsd.yaml:1:7: YAML anchors and aliases (&x) are refused; write the value out at every place (quote a text that begins with & or *)"
        ),
        Refusal(
            "node: *x",
            "opsd.yaml:1:7: YAML aliases (*name) are refused; write the value out (quote a text that begins with *)"
        ),
        Refusal(
            "node: !!int a",
            "opsd.yaml:1:7: the YAML tag 'tag:yaml.org,2002:int' is refused; remove it: the key decides the type"
        ),
        Refusal(
            "<<: {a: b}",
            "opsd.yaml:1:1: merge keys (<<) are refused; write the keys out at every place"),
        Refusal(
            "node: a\n---\nnode: b",
            "opsd.yaml:2:1: a second document begins here; keep one document in a file"),
        Refusal(
            "",
            "opsd.yaml:1:1: the document is empty, not a mapping; write 'key: value' under it"),
        Refusal(
            "[a]",
            "opsd.yaml:1:1: the document is a list, not a mapping; write 'key: value' under it"),
        Refusal(
            "node: \"a",
            "opsd.yaml:1:9: not valid YAML: found unexpected end of stream; close the quote"),
        Refusal(
            "listen: {ops: \"a:1\"",
            "opsd.yaml:2:1: not valid YAML: did not find expected ',' or '}'; close the bracket, and quote a ${…} that stands within brackets"
        ),
        Refusal(
            "node: @a",
            "opsd.yaml:1:7: not valid YAML: found character that cannot start any token; quote a text that begins with this character"
        ),
    ]

    static let health = [
        Refusal(
            "health: {}",
            "opsd.yaml:1:9: health is a mapping, not a list; write [first, second]"),
        Refusal(
            "health: [{name: x, }]",
            "opsd.yaml:1:10: the check asks nothing; write exactly one of http, tcp, command, path, file, pid_file, service, store"
        ),
        Refusal(
            "health: [{tcp: \"a:1\"}]",
            "opsd.yaml:1:10: item 1 of health lacks name; add 'name: …'"),
        Refusal(
            "health: [{name: \"x y\", tcp: \"a:1\"}]",
            "opsd.yaml:1:17: name: 'x y' is not a name; write 1 to 64 letters, digits, '_', '.', '@' or '-'"
        ),
        Refusal(
            "health: [{name: x, tcp: \"a:1\"}, {name: x, tcp: \"a:2\"}]",
            "opsd.yaml:1:40: a check called x already stands in line 1; give one of the two another name"
        ),
        Refusal(
            "health: [{name: core, tcp: \"a:1\"}]",
            "opsd.yaml:1:17: check core has the name of a service; give it another name, as in core-answers"
        ),
        Refusal(
            "health: [{name: x, tcp: \"a:1\", http: \"http://a/\"}]",
            "opsd.yaml:1:10: the check has 2 probes: http, tcp; write exactly one of http, tcp, command, path, file, pid_file, service, store"
        ),
        Refusal(
            "health: [{name: x, tcp: \"a:1\", status: 200}]",
            "opsd.yaml:1:32: status belongs to a check with http; remove it, or add 'http: …'"),
        Refusal(
            "health: [{name: x, http: \"http://a/\", status: 99}]",
            "opsd.yaml:1:47: status: 99 is out of range; write a number from 100 to 599"),
        Refusal(
            "health: [{name: x, path: data}]",
            "opsd.yaml:1:10: a check with path lacks free_below; add 'free_below: 10%'"),
        Refusal(
            "health: [{name: x, path: data, free_below: 0%}]",
            "opsd.yaml:1:44: free_below: '0%' is neither a share nor a size; write a share above 0% and below 100%, as in 10%, or a size, as in 5GB"
        ),
        Refusal(
            "health: [{name: x, path: data, free_below: 10}]",
            "opsd.yaml:1:44: free_below: '10' is neither a share nor a size; write a share above 0% and below 100%, as in 10%, or a size, as in 5GB"
        ),
        Refusal(
            "health: [{name: x, path: data, free_below: 100%}]",
            "opsd.yaml:1:44: free_below: '100%' is neither a share nor a size; write a share above 0% and below 100%, as in 10%, or a size, as in 5GB"
        ),
        Refusal(
            "health: [{name: x, tcp: \"a:1\", free_below: 10%}]",
            "opsd.yaml:1:32: free_below belongs to a check with path; remove it, or add 'path: …'"),
        Refusal(
            "health: [{name: x, file: f}]",
            "opsd.yaml:1:10: a check with file lacks stale_after; add 'stale_after: 1h'"),
        Refusal(
            "health: [{name: x, file: f, stale_after: 1}]",
            "opsd.yaml:1:42: stale_after: '1' is not a duration; add the unit, as in 1s"),
        Refusal(
            "health: [{name: x, pid_file: p, stale_after: 1h}]",
            "opsd.yaml:1:33: stale_after belongs to a check with file; remove it, or add 'file: …'"),
        Refusal(
            "health: [{name: x, service: cor}]",
            "opsd.yaml:1:29: no service is called 'cor'; write core"),
        Refusal(
            "health: [{name: x, service: x}]",
            "opsd.yaml:1:29: no service is called 'x'; the services are: core, broker"),
        Refusal(
            "health: [{name: x, tcp: \"a:1\", depends_on: [x]}]",
            "opsd.yaml:1:45: check x depends on itself; remove it"),
        Refusal(
            "health: [{name: x, tcp: \"a:1\", depends_on: [cor]}]",
            "opsd.yaml:1:45: no check or service is called 'cor'; write core"),
        Refusal(
            "health: [{name: x, tcp: \"a:1\", depends_on: core}]",
            "opsd.yaml:1:44: depends_on is a single value, not a list; write [first, second]"),
        Refusal(
            "health: [{name: x, tcp: \"a:1\", depends_on: [z]}, {name: z, tcp: \"a:1\", depends_on: [x]}]",
            "opsd.yaml:1:17: checks depend on each other: x → z → x; remove one of these depends_on"
        ),
        Refusal(
            "health: [{name: x, tcp: \"a:1\", timeout: 1s, degraded_from: 2s}]",
            "opsd.yaml:1:60: degraded_from is not shorter than the timeout; write less than 1s"),
        Refusal(
            "health: [{name: x, tcp: \"a:1\", perriod: 1s}]",
            "opsd.yaml:1:32: unknown key 'perriod' in item 1 of health; write period"),
        Refusal(
            "health: [{name: x, command: date}]",
            "opsd.yaml:1:29: command is a single value, not a list; write [first, second]"),
        Refusal(
            "health: [{name: x, tcp: \"a:1\", threshold: 2000}]",
            "opsd.yaml:1:43: threshold: 2000 is out of range; write a number from 1 to 1000"),
    ]
}
