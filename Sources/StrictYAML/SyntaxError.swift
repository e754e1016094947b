import Yams

/// The parser's errors in this reader's words.
enum SyntaxError {
    typealias Explanation = (place: Place, problem: String, remedy: String)

    static func explain(_ error: any Error, text: String, file: String) -> Explanation {
        guard let error = error as? YamlError else {
            return (Place(file: file, line: 1, column: 1), "\(error)", "correct the YAML")
        }
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _):
            return (
                Place(file: file, line: mark.line, column: mark.column),
                "not valid YAML: \(problem)", remedy(for: problem)
            )
        case .composer(_, let problem, let mark, _):
            return composer(problem, Place(file: file, line: mark.line, column: mark.column))
        case .reader(let problem, let offset, _, _):
            return (
                place(atCharacter: offset ?? 0, of: text, file: file),
                "not valid YAML: \(problem)", "remove the character"
            )
        case .duplicatedKeysInMapping(let names, let context):
            return duplicate(names, context.mark, text: text, file: file)
        default:
            return (
                Place(file: file, line: 1, column: 1), "the YAML could not be read: \(error)",
                "correct the YAML"
            )
        }
    }

    private static func composer(_ problem: String, _ place: Place) -> Explanation {
        switch problem {
        case "but found another document":
            (place, "a second document begins here", "keep one document in a file")
        case "found undefined alias":
            (
                place, "YAML aliases (*name) are refused",
                "write the value out (quote a text that begins with *)"
            )
        default:
            (place, "not valid YAML: \(problem)", "correct the YAML")
        }
    }

    private static func remedy(for problem: String) -> String {
        switch problem {
        case "mapping values are not allowed in this context":
            "quote a text that contains ': ', or correct the indentation"
        case "did not find expected key":
            "align the key with its neighbours"
        case "did not find expected '-' indicator":
            "align the '-' with those above"
        case "found character that cannot start any token":
            "quote a text that begins with this character"
        case "could not find expected ':'":
            "write 'key: value'"
        case "found unexpected end of stream":
            "close the quote"
        case "did not find expected ',' or ']'", "did not find expected ',' or '}'":
            "close the bracket, and quote a ${…} that stands within brackets"
        default:
            "correct the YAML"
        }
    }

    /// The parser names the first of the equal keys; people want to know of the other one too.
    private static func duplicate(
        _ names: [String], _ mark: Mark, text: String, file: String
    ) -> Explanation {
        let name = names.first ?? ""
        let place = Place(file: file, line: mark.line, column: mark.column)
        let shown = Quoted.short(name)
        guard let second = secondLine(of: name, mark, text: text) else {
            return (place, "key '\(shown)' is written twice here", "keep one of the two")
        }
        return (
            Place(file: file, line: second, column: mark.column),
            "key '\(shown)' is already written in line \(mark.line)", "keep one of the two"
        )
    }

    private static func secondLine(of name: String, _ mark: Mark, text: String) -> Int? {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let indentation = String(repeating: " ", count: mark.column - 1)
        for (index, line) in lines.enumerated().dropFirst(mark.line) {
            if line.hasPrefix(indentation + name + ":") { return index + 1 }
        }
        return nil
    }

    private static func place(atCharacter offset: Int, of text: String, file: String) -> Place {
        var line = 1
        var column = 1
        for character in text.prefix(offset) {
            if character.isNewline {
                line += 1
                column = 1
            } else {
                column += 1
            }
        }
        return Place(file: file, line: line, column: column)
    }
}

/// Text from a file, made fit for a message: short, on one line.
enum Quoted {
    static func short(_ text: String) -> String {
        let start = text.unicodeScalars.prefix(60)
        let more = start.endIndex < text.unicodeScalars.endIndex ? "…" : ""
        return onOneLine(String(start)) + more
    }

    static func onOneLine(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars { result.append(isControl(scalar) ? "\u{FFFD}" : scalar) }
        return String(result)
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) || scalar == "\u{2028}"
            || scalar == "\u{2029}"
    }
}
