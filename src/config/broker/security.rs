//! TLS, authentication, authorization. This version has none of them.

use crate::config::setting::{Kind, Setting};

pub(super) const ROWS: &[Setting] = &[
    Setting::string("authorizer.class.name", "", "Class that decides who may do what; Java only."),
    Setting::string("super.users", "", "Users that may do everything."),
    Setting::unset(
        "principal.builder.class",
        Kind::Class,
        "Class that names a connection's user; Java only.",
    ),
    Setting::list("sasl.enabled.mechanisms", "GSSAPI", "SASL mechanisms that clients may use.").dynamic(),
    Setting::string("sasl.mechanism.inter.broker.protocol", "GSSAPI", "SASL mechanism among servers.")
        .dynamic(),
    Setting::string("sasl.mechanism.controller.protocol", "GSSAPI", "SASL mechanism among controllers."),
    Setting::unset("sasl.jaas.config", Kind::Password, "Credentials in JAAS form.").dynamic(),
    Setting::unset("sasl.kerberos.service.name", Kind::String, "Kerberos name of the service.").dynamic(),
    Setting::list(
        "sasl.kerberos.principal.to.local.rules",
        "DEFAULT",
        "How Kerberos names become user names.",
    )
    .dynamic(),
    Setting::unset(
        "sasl.client.callback.handler.class",
        Kind::Class,
        "Class that answers SASL questions as a client; Java only.",
    ),
    Setting::unset(
        "sasl.server.callback.handler.class",
        Kind::Class,
        "Class that answers SASL questions as a server; Java only.",
    ),
    Setting::unset(
        "sasl.login.callback.handler.class",
        Kind::Class,
        "Class that answers login questions; Java only.",
    ),
    Setting::unset("sasl.login.class", Kind::Class, "Class that logs in; Java only."),
    Setting::int("sasl.server.max.receive.size", "524288", 1, "Largest SASL message accepted."),
    Setting::unset(
        "sasl.oauthbearer.jwks.endpoint.url",
        Kind::String,
        "Where the keys that sign tokens are found.",
    ),
    Setting::unset("sasl.oauthbearer.token.endpoint.url", Kind::String, "Where tokens are got."),
    Setting::unset("sasl.oauthbearer.expected.audience", Kind::List, "Audiences a token may be for."),
    Setting::unset("sasl.oauthbearer.expected.issuer", Kind::String, "Who must have issued a token."),
    Setting::string("sasl.oauthbearer.scope.claim.name", "scope", "Claim of a token that holds its scope."),
    Setting::string("sasl.oauthbearer.sub.claim.name", "sub", "Claim of a token that names the user."),
    Setting::int(
        "sasl.oauthbearer.clock.skew.seconds",
        "30",
        0,
        "How far clocks may differ when tokens are judged.",
    ),
    Setting::list("ssl.cipher.suites", "", "Cipher suites that may be used.").dynamic(),
    Setting::string("ssl.client.auth", "none", "Whether clients must show a certificate.")
        .one_of(&["required", "requested", "none"])
        .dynamic(),
    Setting::list("ssl.enabled.protocols", "TLSv1.2,TLSv1.3", "TLS versions that may be used.").dynamic(),
    Setting::string("ssl.protocol", "TLSv1.3", "TLS version that is tried first.").dynamic(),
    Setting::unset("ssl.provider", Kind::String, "Name of the security provider; Java only.").dynamic(),
    Setting::string(
        "ssl.endpoint.identification.algorithm",
        "https",
        "How a server's name is checked against its certificate.",
    )
    .dynamic(),
    Setting::unset("ssl.engine.factory.class", Kind::Class, "Class that makes TLS engines; Java only.")
        .dynamic(),
    Setting::string("ssl.keymanager.algorithm", "SunX509", "Algorithm of the key manager; Java only.")
        .dynamic(),
    Setting::string("ssl.trustmanager.algorithm", "PKIX", "Algorithm of the trust manager; Java only.")
        .dynamic(),
    Setting::unset("ssl.secure.random.implementation", Kind::String, "Source of random numbers; Java only.")
        .dynamic(),
    Setting::unset("ssl.keystore.location", Kind::String, "File with the server's key and certificate.")
        .dynamic(),
    Setting::string("ssl.keystore.type", "JKS", "Format of the key file.").dynamic(),
    Setting::unset("ssl.keystore.password", Kind::Password, "Password of the key file.").dynamic(),
    Setting::unset("ssl.keystore.key", Kind::Password, "The server's private key, PEM.").dynamic(),
    Setting::unset("ssl.keystore.certificate.chain", Kind::Password, "The server's certificates, PEM.")
        .dynamic(),
    Setting::unset("ssl.key.password", Kind::Password, "Password of the private key.").dynamic(),
    Setting::unset("ssl.truststore.location", Kind::String, "File with the certificates that are trusted.")
        .dynamic(),
    Setting::string("ssl.truststore.type", "JKS", "Format of the file of trusted certificates.").dynamic(),
    Setting::unset(
        "ssl.truststore.password",
        Kind::Password,
        "Password of the file of trusted certificates.",
    )
    .dynamic(),
    Setting::unset("ssl.truststore.certificates", Kind::Password, "Trusted certificates, PEM.").dynamic(),
    Setting::string(
        "ssl.principal.mapping.rules",
        "DEFAULT",
        "How a certificate's name becomes a user name.",
    ),
    Setting::boolean("ssl.allow.dn.changes", "false", "Whether a new certificate may carry another name."),
    Setting::boolean(
        "ssl.allow.san.changes",
        "false",
        "Whether a new certificate may carry other alternative names.",
    ),
    Setting::unset("security.providers", Kind::String, "Classes of security providers; Java only."),
];
