import Yams

/// Turns the parser's nodes into ours, and refuses what strict files do not have.
struct NodeConversion {
    let file: String
    let findings: Findings

    func convert(_ root: Node?) -> YAMLNode {
        guard let root else {
            let place = Place(file: file, line: 1, column: 1)
            return YAMLNode(place: place, content: .scalar("", isPlain: true))
        }
        return convert(root, depth: 1)
    }

    private func convert(_ node: Node, depth: Int) -> YAMLNode {
        let place = place(of: node)
        let nothing = YAMLNode(place: place, content: .scalar("", isPlain: true))
        guard depth <= YAMLDocument.depthMax else {
            findings.error(
                place, "values are nested deeper than \(YAMLDocument.depthMax) levels",
                "write them flatter")
            return nothing
        }
        // An anchored node is not entered: it may stand for any number of copies of itself.
        if let anchor = node.anchor {
            findings.error(
                place, "YAML anchors and aliases (&\(anchor.rawValue)) are refused",
                "write the value out at every place (quote a text that begins with & or *)")
            return nothing
        }
        return YAMLNode(place: place, content: content(of: node, place: place, depth: depth))
    }

    private func content(of node: Node, place: Place, depth: Int) -> YAMLNode.Content {
        switch node {
        case .scalar(let scalar):
            refuseTag(scalar.tag, usual: "str", at: place)
            let isPlain = scalar.style == .plain || scalar.style == .any
            return .scalar(scalar.string, isPlain: isPlain)
        case .sequence(let sequence):
            refuseTag(sequence.tag, usual: "seq", at: place)
            return .sequence(sequence.map { convert($0, depth: depth + 1) })
        case .mapping(let mapping):
            refuseTag(mapping.tag, usual: "map", at: place)
            return .mapping(entries(of: mapping, depth: depth))
        case .alias:
            findings.error(
                place, "YAML aliases are refused", "write the value out at every place")
            return .scalar("", isPlain: true)
        }
    }

    private func entries(of mapping: Node.Mapping, depth: Int) -> [YAMLNode.Entry] {
        var entries: [YAMLNode.Entry] = []
        var lines: [String: Int] = [:]
        for (keyNode, valueNode) in mapping {
            let keyPlace = place(of: keyNode)
            let key = convert(keyNode, depth: depth + 1)
            let value = convert(valueNode, depth: depth + 1)
            guard case .scalar(let name, _) = key.content else {
                findings.error(keyPlace, "a key is \(key.kind)", "write a name as the key")
                continue
            }
            if name == "<<" {
                findings.error(
                    keyPlace, "merge keys (<<) are refused", "write the keys out at every place")
                continue
            }
            if let line = lines[name] {
                findings.error(
                    keyPlace, "key '\(Quoted.short(name))' is already written in line \(line)",
                    "keep one of the two")
                continue
            }
            lines[name] = keyPlace.line
            entries.append(YAMLNode.Entry(key: name, place: keyPlace, value: value))
        }
        return entries
    }

    private func refuseTag(_ tag: Tag, usual: String, at place: Place) {
        let name = tag.description
        guard !name.isEmpty, name != "tag:yaml.org,2002:" + usual else { return }
        findings.error(
            place, "the YAML tag '\(Quoted.short(name))' is refused",
            "remove it: the key decides the type")
    }

    private func place(of node: Node) -> Place {
        Place(file: file, line: node.mark?.line ?? 1, column: node.mark?.column ?? 1)
    }
}
