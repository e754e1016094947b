import Ledger
import StrictYAML

/// What must hold between accounts. One pass over a dictionary: linear in accounts and links.
struct AccountChecks {
    private let records: [AccountRecord]
    private let findings: Findings
    private let byID: [String: AccountRecord]

    init(records: [AccountRecord], findings: Findings) {
        self.records = records
        self.findings = findings
        byID = Dictionary(
            records.map { ($0.account.id, $0) }, uniquingKeysWith: { first, _ in first })
    }

    func run(linksToo: Bool) {
        checkDuplicates()
        guard linksToo else { return }
        var linked: [String: Set<String>] = [:]
        for record in records where record.account.role == .master {
            linked[record.account.id, default: []].formUnion(record.links.map(\.name))
        }
        let allLinked = linked.values.reduce(into: Set()) { $0.formUnion($1) }
        var names = NameCheck(byID: byID, findings: findings)
        for record in records where record.isRoleKnown {
            checkLinks(of: record, &names)
            checkMaster(of: record, linked: linked, &names)
            warnOfMissingMaster(of: record, allLinked: allLinked)
            checkCovers(of: record, &names)
        }
    }

    /// A broker tells accounts by their keys: with one key for two there would be one account, and
    /// each would count the other's orders and funds as its own.
    func refuseSharedKeys() {
        var owners: [Secret: AccountRecord] = [:]
        for record in records {
            let credentials = record.account.credentials
            guard credentials.paperTrading, !credentials.apiKey.isEmpty else { continue }
            guard let first = owners[credentials.apiKey] else {
                owners[credentials.apiKey] = record
                continue
            }
            guard first.account.id != record.account.id else { continue }
            findings.error(
                record.place,
                "account \(record.account.id) has the api_key of \(first.account.id) (\(first.place))",
                "give each paper account a key of its own")
        }
    }

    private func checkDuplicates() {
        var places: [String: Place] = [:]
        for record in records {
            let id = record.account.id
            if let first = places[id] {
                findings.error(
                    record.place, "account \(id) is already declared at \(first)",
                    "give one of the two another account_id")
            } else {
                places[id] = record.place
            }
        }
    }

    /// The master's side: each linked account exists, trades, and names this master.
    private func checkLinks(of record: AccountRecord, _ names: inout NameCheck) {
        let master = record.account.id
        for link in record.links {
            guard let target = names.account(link, role: .trading) else { continue }
            guard let named = target.account.masterAccount else {
                findings.error(
                    target.place,
                    "account \(link.name) lacks master_account, but \(master) links it at \(link.place)",
                    "add 'master_account: \(master)'")
                continue
            }
            if named != master {
                findings.error(
                    link.place,
                    "\(master) links \(link.name), whose master_account is \(named)"
                        + " at \(target.masterPlace ?? target.place)",
                    "make both sides agree")
            }
        }
    }

    /// The trading account's side: its master exists, is one, and links it.
    private func checkMaster(
        of record: AccountRecord, linked: [String: Set<String>], _ names: inout NameCheck
    ) {
        let account = record.account
        guard account.role == .trading else { return }
        guard let master = account.masterAccount, let place = record.masterPlace else { return }
        let name = PlacedName(name: master, place: place)
        guard let target = names.account(name, role: .master) else { return }
        if linked[master]?.contains(account.id) != true {
            findings.error(
                place,
                "account \(account.id) names master \(master), which does not link it"
                    + " (\(target.linksPlace ?? target.place))",
                "add \(account.id) to linked_trading_accounts of \(master)")
        }
    }

    /// Where a master links the account, that is an error already and stands at the account.
    private func warnOfMissingMaster(of record: AccountRecord, allLinked: Set<String>) {
        let account = record.account
        guard account.role == .trading, record.masterPlace == nil, !allLinked.contains(account.id)
        else { return }
        findings.warning(
            record.place, "account \(account.id) has no master_account",
            "no risk limits apply to it; name its master")
    }

    private func checkCovers(of record: AccountRecord, _ names: inout NameCheck) {
        guard record.account.role == .backup else { return }
        for covered in record.covers {
            guard let target = names.account(covered, role: nil) else { continue }
            if target.account.role == .backup {
                findings.error(
                    covered.place, "\(record.account.id) covers \(covered.name), a backup account",
                    "cover a master, trading or data account")
            }
        }
    }
}

/// Looks up accounts that others name.
private struct NameCheck {
    let byID: [String: AccountRecord]
    let findings: Findings
    /// Guessing compares with every id, so it is done for the first few only.
    private var guessesLeft = 50

    init(byID: [String: AccountRecord], findings: Findings) {
        self.byID = byID
        self.findings = findings
    }

    /// The account of this name; a finding when there is none or when its role is another one.
    mutating func account(_ name: PlacedName, role: AccountRole?) -> AccountRecord? {
        guard let record = byID[name.name] else {
            findings.error(name.place, "no account is called \(name.name)", remedy(name.name, role))
            return nil
        }
        if let role, record.isRoleKnown, record.account.role != role {
            findings.error(
                name.place,
                "\(name.name) is a \(record.account.role.rawValue) account (\(record.place))",
                "name a \(role.rawValue) account")
            return nil
        }
        return record
    }

    private mutating func remedy(_ name: String, _ role: AccountRole?) -> String {
        let plain = "declare it, or remove the name"
        guard guessesLeft > 0 else { return plain }
        guessesLeft -= 1
        let ids = byID.values.filter { role == nil || $0.account.role == role }
            .map(\.account.id).sorted()
        return NearestName.nearest(to: name, in: ids).map { "write \($0)" } ?? plain
    }
}
