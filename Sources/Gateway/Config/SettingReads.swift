// The reads that settings are written with. Each comes twice: with the name under the reader's prefix, and `exactly`.
extension SettingsReader {
    /// A setting without which this part cannot run. Missing, it is a problem of kind `.missingRequired`.
    package mutating func required<Value: SettingValue>(
        _ name: String, in limits: Value.Limits? = nil, bare: Value.BareUnit? = nil, example: String? = nil,
        _ documentation: String
    ) -> Value {
        required(exactly: fullName(name), in: limits, bare: bare, example: example, documentation)
    }

    package mutating func required<Value: SettingValue>(
        exactly name: String, in limits: Value.Limits? = nil, bare: Value.BareUnit? = nil, example: String? = nil,
        _ documentation: String
    ) -> Value {
        let setting = describe(
            Value.self, name, limits, bare, isRequired: true, example: example, documentation: documentation)
        return require(setting, placeholder: Value.placeholder, outcome(of: setting, limits, bare))
    }

    /// A setting that has a default.
    ///
    /// - Parameter limits: The values allowed: a range; for text and lists, of their length.
    /// - Parameter bare: What a number without a unit counts.
    /// - Parameter defaultPhrase: Documents the default when it depends on the machine or on another setting.
    package mutating func optional<Value: SettingValue>(
        _ name: String, default fallback: Value, in limits: Value.Limits? = nil, bare: Value.BareUnit? = nil,
        example: String? = nil, defaultPhrase: String? = nil, _ documentation: String
    ) -> Value {
        optional(
            exactly: fullName(name), default: fallback, in: limits, bare: bare, example: example,
            defaultPhrase: defaultPhrase, documentation)
    }

    package mutating func optional<Value: SettingValue>(
        exactly name: String, default fallback: Value, in limits: Value.Limits? = nil, bare: Value.BareUnit? = nil,
        example: String? = nil, defaultPhrase: String? = nil, _ documentation: String
    ) -> Value {
        let text = Value.isSecret ? "<secret>" : fallback.settingText
        let setting = describe(
            Value.self, name, limits, bare, defaultValue: text, defaultPhrase: defaultPhrase, example: example,
            documentation: documentation)
        return settle(
            setting, fallback, shown: text, identity: Value.isSecret ? text : fallback.settingIdentity,
            outcome(of: setting, limits, bare))
    }

    /// A setting that may be left out; `nil` then, and after a problem.
    package mutating func optional<Value: SettingValue>(
        _ name: String, in limits: Value.Limits? = nil, bare: Value.BareUnit? = nil, example: String? = nil,
        _ documentation: String
    ) -> Value? {
        optional(exactly: fullName(name), in: limits, bare: bare, example: example, documentation)
    }

    package mutating func optional<Value: SettingValue>(
        exactly name: String, in limits: Value.Limits? = nil, bare: Value.BareUnit? = nil, example: String? = nil,
        _ documentation: String
    ) -> Value? {
        let setting = describe(Value.self, name, limits, bare, example: example, documentation: documentation)
        let outcome: Outcome<Value> = outcome(of: setting, limits, bare)
        return settle(setting, nil, shown: nil, outcome.optional)
    }

    // MARK: Types that this module does not know

    /// A required setting of any type: `parse` reads its text or says what to write instead.
    ///
    /// - Parameter placeholder: Stands in after a problem was recorded; never used to run anything.
    /// - Parameter type: What the value is, as a noun for the documentation.
    package mutating func required<Value>(
        _ name: String, type: String, placeholder: Value, example: String? = nil, isSecret: Bool = false,
        _ documentation: String, parsing parse: (String) throws(SettingError) -> Value
    ) -> Value {
        required(
            exactly: fullName(name), type: type, placeholder: placeholder, example: example, isSecret: isSecret,
            documentation, parsing: parse)
    }

    package mutating func required<Value>(
        exactly name: String, type: String, placeholder: Value, example: String? = nil, isSecret: Bool = false,
        _ documentation: String, parsing parse: (String) throws(SettingError) -> Value
    ) -> Value {
        let setting = SettingDescription(
            name: name, section: sectionTitle, type: type, isRequired: true, isSecret: isSecret, example: example,
            documentation: documentation)
        return require(setting, placeholder: placeholder, outcome(of: setting, parse))
    }

    /// An optional setting of any type, shown as its `description`.
    package mutating func optional<Value>(
        _ name: String, type: String, default fallback: Value, example: String? = nil, defaultPhrase: String? = nil,
        isSecret: Bool = false, _ documentation: String, parsing parse: (String) throws(SettingError) -> Value
    ) -> Value {
        optional(
            exactly: fullName(name), type: type, default: fallback, example: example, defaultPhrase: defaultPhrase,
            isSecret: isSecret, documentation, parsing: parse)
    }

    package mutating func optional<Value>(
        exactly name: String, type: String, default fallback: Value, example: String? = nil,
        defaultPhrase: String? = nil, isSecret: Bool = false, _ documentation: String,
        parsing parse: (String) throws(SettingError) -> Value
    ) -> Value {
        let text = isSecret ? "<secret>" : "\(fallback)"
        let setting = SettingDescription(
            name: name, section: sectionTitle, type: type, isSecret: isSecret, defaultValue: text,
            defaultPhrase: defaultPhrase, example: example, documentation: documentation)
        return settle(setting, fallback, shown: text, outcome(of: setting, parse))
    }

    /// An optional setting of any type without a default; `nil` when unset, and after a problem.
    package mutating func optional<Value>(
        _ name: String, type: String, example: String? = nil, isSecret: Bool = false, _ documentation: String,
        parsing parse: (String) throws(SettingError) -> Value
    ) -> Value? {
        optional(
            exactly: fullName(name), type: type, example: example, isSecret: isSecret, documentation, parsing: parse)
    }

    package mutating func optional<Value>(
        exactly name: String, type: String, example: String? = nil, isSecret: Bool = false, _ documentation: String,
        parsing parse: (String) throws(SettingError) -> Value
    ) -> Value? {
        let setting = SettingDescription(
            name: name, section: sectionTitle, type: type, isSecret: isSecret, example: example,
            documentation: documentation)
        let outcome: Outcome<Value> = outcome(of: setting, parse)
        return settle(setting, nil, shown: nil, outcome.optional)
    }

    // MARK: What the reads share

    private func describe<Value: SettingValue>(
        _ type: Value.Type, _ name: String, _ limits: Value.Limits?, _ bare: Value.BareUnit?, isRequired: Bool = false,
        defaultValue: String? = nil, defaultPhrase: String? = nil, example: String?, documentation: String
    ) -> SettingDescription {
        SettingDescription(
            name: name, section: sectionTitle, type: Value.settingType, range: limits.map(Value.describe),
            bareUnit: bare?.description, isRequired: isRequired, isSecret: Value.isSecret,
            defaultValue: defaultValue, defaultPhrase: defaultPhrase, example: example, documentation: documentation)
    }

    private mutating func outcome<Value: SettingValue>(
        of setting: SettingDescription, _ limits: Value.Limits?, _ bare: Value.BareUnit?
    ) -> Outcome<Value> {
        resolve(
            setting, parse: { (text) throws(SettingError) in try Value.read(text, bare: bare) },
            check: { value in limits.map(value.isWithin) ?? true }, show: \.settingText,
            identify: { (value, _) in value.settingIdentity })
    }

    private mutating func outcome<Value>(
        of setting: SettingDescription, _ parse: (String) throws(SettingError) -> Value
    ) -> Outcome<Value> {
        // A description may leave something out.
        resolve(setting, parse: parse, check: { _ in true }, show: { "\($0)" }, identify: { (_, text) in text })
    }

    private mutating func require<Value>(
        _ setting: SettingDescription, placeholder: Value, _ outcome: Outcome<Value>
    ) -> Value {
        if case .value(let value) = outcome { return value }
        report(setting, nil, .unset)
        if case .unset = outcome { reportMissing(setting) }
        return placeholder
    }

    private mutating func settle<Value>(
        _ setting: SettingDescription, _ fallback: Value, shown: String?, identity: String? = nil,
        _ outcome: Outcome<Value>
    ) -> Value {
        if case .value(let value) = outcome { return value }
        report(setting, shown, shown == nil ? .unset : .byDefault, identity: identity)
        return fallback
    }
}

extension SettingsReader.Outcome {
    fileprivate var optional: SettingsReader.Outcome<Value?> {
        switch self {
        case .unset: .unset
        case .value(let value): .value(value)
        case .refused: .refused
        }
    }
}
