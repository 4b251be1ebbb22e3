//! Broker settings of TLS, authentication and authorization. This version has none of them.

use crate::config::setting::{Kind, Setting};

pub(super) const ROWS: &[Setting] = &[
    Setting::string("authorizer.class.name", "", "Class that decides who may do what; Java only."),
    Setting::string("super.users", "", "Users that may do everything."),
    Setting::class(
        "principal.builder.class",
        "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder",
        "Class that names a connection's user; Java only.",
    )
    .dynamic(),
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
    Setting::string("sasl.kerberos.kinit.cmd", "/usr/bin/kinit", "The kinit program; Java only.").dynamic(),
    Setting::long(
        "sasl.kerberos.min.time.before.relogin",
        "60000",
        0,
        "Milliseconds between two Kerberos logins.",
    )
    .dynamic(),
    Setting::double(
        "sasl.kerberos.ticket.renew.jitter",
        "0.05",
        (0.0, 1.0),
        "Random share added to the time at which a ticket is renewed.",
    )
    .dynamic(),
    Setting::double(
        "sasl.kerberos.ticket.renew.window.factor",
        "0.8",
        (0.0, 1.0),
        "Share of a ticket's life after which it is renewed.",
    )
    .dynamic(),
    Setting::short(
        "sasl.login.refresh.buffer.seconds",
        "300",
        0,
        "Time before its end at which a login is refreshed at the latest.",
    )
    .within(0, 3600)
    .dynamic(),
    Setting::short(
        "sasl.login.refresh.min.period.seconds",
        "60",
        0,
        "Least time between two refreshes of a login.",
    )
    .within(0, 900)
    .dynamic(),
    Setting::double(
        "sasl.login.refresh.window.factor",
        "0.8",
        (0.5, 1.0),
        "Share of a login's life after which it is refreshed.",
    )
    .dynamic(),
    Setting::double(
        "sasl.login.refresh.window.jitter",
        "0.05",
        (0.0, 0.25),
        "Random share added to the time at which a login is refreshed.",
    )
    .dynamic(),
    Setting::unset(
        "sasl.login.connect.timeout.ms",
        Kind::Int,
        "Longest wait for a connection to who issues tokens.",
    ),
    Setting::unset(
        "sasl.login.read.timeout.ms",
        Kind::Int,
        "Longest wait for an answer of who issues tokens.",
    ),
    Setting::long("sasl.login.retry.backoff.ms", "100", 0, "Pause before a failed login is tried again."),
    Setting::long("sasl.login.retry.backoff.max.ms", "10000", 0, "Longest of these pauses, which grow."),
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
    Setting::boolean(
        "sasl.oauthbearer.allow.unverified.audience",
        "false",
        "Whether a token may be for any audience, or for none.",
    ),
    Setting::boolean(
        "sasl.oauthbearer.allow.unverified.issuer",
        "false",
        "Whether anybody may have issued a token.",
    ),
    Setting::list("sasl.oauthbearer.expected.audience", "", "Audiences a token may be for."),
    Setting::unset("sasl.oauthbearer.expected.issuer", Kind::String, "Who must have issued a token."),
    Setting::string("sasl.oauthbearer.scope.claim.name", "scope", "Claim of a token that holds its scope."),
    Setting::string("sasl.oauthbearer.sub.claim.name", "sub", "Claim of a token that names the user."),
    Setting::int(
        "sasl.oauthbearer.clock.skew.seconds",
        "30",
        0,
        "How far clocks may differ when tokens are judged.",
    ),
    Setting::long(
        "sasl.oauthbearer.jwks.endpoint.refresh.ms",
        "3600000",
        0,
        "How often the keys that sign tokens are got.",
    ),
    Setting::long(
        "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms",
        "100",
        0,
        "Pause before they are tried to be got again.",
    ),
    Setting::long(
        "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms",
        "10000",
        0,
        "Longest of these pauses, which grow.",
    ),
    Setting::class(
        "sasl.oauthbearer.jwt.retriever.class",
        "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever",
        "Class that gets tokens; Java only.",
    ),
    Setting::class(
        "sasl.oauthbearer.jwt.validator.class",
        "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator",
        "Class that checks tokens; Java only.",
    ),
    Setting::unset("sasl.oauthbearer.scope", Kind::String, "Scope asked for with a token."),
    Setting::unset(
        "sasl.oauthbearer.client.credentials.client.id",
        Kind::String,
        "Client id to get tokens with.",
    ),
    Setting::unset(
        "sasl.oauthbearer.client.credentials.client.secret",
        Kind::Password,
        "Client secret to get tokens with.",
    ),
    Setting::string("sasl.oauthbearer.assertion.algorithm", "RS256", "Algorithm that signs an assertion.")
        .one_of(&["ES256", "RS256"]),
    Setting::unset("sasl.oauthbearer.assertion.claim.aud", Kind::String, "Audience of an assertion."),
    Setting::int("sasl.oauthbearer.assertion.claim.exp.seconds", "300", 0, "Life of an assertion.")
        .within(0, 86_400),
    Setting::unset("sasl.oauthbearer.assertion.claim.iss", Kind::String, "Issuer of an assertion."),
    Setting::boolean(
        "sasl.oauthbearer.assertion.claim.jti.include",
        "false",
        "Whether an assertion has an id of its own.",
    ),
    Setting::int(
        "sasl.oauthbearer.assertion.claim.nbf.seconds",
        "60",
        0,
        "How long before it was made an assertion is valid.",
    )
    .within(0, 3600),
    Setting::unset("sasl.oauthbearer.assertion.claim.sub", Kind::String, "Subject of an assertion."),
    Setting::unset("sasl.oauthbearer.assertion.file", Kind::String, "File with a finished assertion."),
    Setting::unset(
        "sasl.oauthbearer.assertion.private.key.file",
        Kind::String,
        "File with the key that signs assertions.",
    ),
    Setting::unset(
        "sasl.oauthbearer.assertion.private.key.passphrase",
        Kind::Password,
        "Password of that file.",
    ),
    Setting::unset(
        "sasl.oauthbearer.assertion.template.file",
        Kind::String,
        "File with further claims of an assertion.",
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
