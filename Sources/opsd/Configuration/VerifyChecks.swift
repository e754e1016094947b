import Control
import StrictYAML

extension ConfigurationReader {
    func readVerify(
        _ top: inout YAMLMapping, _ stores: [PlacedStore], _ result: inout Configuration
    ) -> [PlacedVerification] {
        guard let value = top.optional("verify") else { return [] }
        let reader = VerifyReader(
            stores: stores, datasets: result.datasets, findings: findings)
        let checks = value.sequence(reader.read) ?? []
        result.verify = checks.map(\.settings)
        return checks
    }

    /// The service and the jobs that `verify` asks for, beside those that are written.
    func addVerification(_ checks: [PlacedVerification], to result: inout Configuration) {
        VerifyChecks(checks: checks, configuration: result, findings: findings).run()
        if result.verify.contains(where: { $0.dataset != nil }), result.verifyService == nil {
            result.services.append(.verify)
        }
        result.jobs += result.verify.compactMap { check in
            guard let schedule = check.job else { return nil }
            var job = JobSettings(
                name: check.jobName, command: [JobSettings.ownProgram, "verify", check.name],
                schedule: schedule)
            if let dataset = check.dataset {
                job.command += ["--full"]
                if dataset.repair != .none {
                    job.command += ["--repair", dataset.repair.rawValue]
                }
            }
            job.timeZone = result.timeZone
            return job
        }
    }
}

extension VerifySettings {
    var jobName: String { "verify-\(name)" }

    /// When its job runs; nil: it has none.
    fileprivate var job: Schedule? {
        full ?? (pair == nil ? nil : every.map { .every($0) })
    }
}

extension ServiceSettings {
    /// Unless one is declared, with settings of its own.
    static let verify = ServiceSettings(name: "verify", program: .builtin(.verify))
}

/// What must hold between checks, and between them, services and jobs.
struct VerifyChecks {
    let checks: [PlacedVerification]
    /// With the services and the jobs that are written.
    let configuration: Configuration
    let findings: Findings

    func run() {
        checkNames()
        checkDatasets()
        checkService()
        let jobs = Set(configuration.jobs.map(\.name))
        for check in checks where jobs.contains(check.settings.jobName) {
            findings.error(
                check.place, "there is a job \(check.settings.jobName) already",
                "give the check or the job another name")
        }
    }

    private func checkNames() {
        var seen: Set<String> = []
        let datasets = Set(configuration.datasets.map(\.name))
        for check in checks {
            let name = check.settings.name
            if !seen.insert(name).inserted {
                findings.error(
                    check.place, "check \(name) is listed twice",
                    "give one of the two another name")
            }
            // 'opsd verify NAME' would mean the one or the other.
            if datasets.contains(name), check.settings.dataset?.dataset != name {
                findings.error(
                    check.place, "\(name) is the name of a dataset that the check does not compare",
                    "give the check another name")
            }
        }
    }

    /// Two checks of one dataset would read every row twice, and differ about what to do.
    private func checkDatasets() {
        var seen: [String: String] = [:]
        for check in checks {
            guard let dataset = check.settings.dataset?.dataset else { continue }
            if let first = seen[dataset] {
                findings.error(
                    check.place, "dataset \(dataset) is compared by check \(first) already",
                    "remove one of the two")
            } else {
                seen[dataset] = check.settings.name
            }
        }
    }

    private func checkService() {
        guard let first = checks.first(where: { $0.settings.dataset != nil }) else { return }
        let name = ServiceSettings.verify.name
        guard configuration.verifyService == nil,
            configuration.services.contains(where: { $0.name == name })
        else { return }
        findings.error(
            first.place, "a check needs the built-in service, and a service \(name) is another one",
            "give that service another name, or add 'verifier: {builtin: verify}'")
    }
}
