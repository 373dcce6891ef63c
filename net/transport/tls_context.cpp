#include "net/transport/tls_context.hpp"

#include "core/disk/posix.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

namespace cairn {

namespace {

template <class... Args>
tl::unexpected<failure> wrong(fmt::format_string<Args...> text, Args&&... args) {
  return fail(errc::invalid_message, fmt::format(text, std::forward<Args>(args)...));
}

result<void> check_readable(const char* what, const std::string& path) {
  if (path.empty())
    return wrong(
      "TLS needs three files: the authority's certificates, a certificate and its key; the {} is not given",
      what);
  if (::access(path.c_str(), R_OK) != 0)
    return wrong("the {} {} cannot be read: {}", what, path, std::generic_category().message(errno));
  return {};
}

result<void> check_private(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0)
    return wrong("the key {} cannot be looked at: {}", path, std::generic_category().message(errno));
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    return wrong("the key {} can be read by others (mode {:o}): chmod 600 it", path, info.st_mode & 07777U);
  return {};
}

/// A name that was given as an address is compared as one.
bool is_address(const std::string& text) {
  in6_addr out{};
  return ::inet_pton(AF_INET, text.c_str(), &out) == 1 || ::inet_pton(AF_INET6, text.c_str(), &out) == 1;
}

} // namespace

void tls_session_delete::operator()(ssl_st* session) const { SSL_free(session); }

std::string tls_error_text(const ssl_st* session) {
  if (session != nullptr)
    if (const auto verdict = SSL_get_verify_result(session); verdict != X509_V_OK)
      return fmt::format("its certificate is refused: {}", X509_verify_cert_error_string(verdict));
  const auto code = ERR_get_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "the connection ended in the handshake" : reason;
}

result<std::shared_ptr<const tls_context>> tls_context::load(const tls_files& files) {
  for (const auto& [what, path] :
       {std::pair("authority file", &files.ca), std::pair("certificate", &files.certificate),
        std::pair("key", &files.key)})
    if (auto readable = check_readable(what, *path); !readable)
      return pass_failure(readable);
  if (auto kept = check_private(files.key); !kept)
    return pass_failure(kept);

  ERR_clear_error();
  const std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_method()), SSL_CTX_free);
  if (!context || SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1)
    return fail(errc::internal_error, "OpenSSL does not offer TLS 1.2: " + tls_error_text());
  if (SSL_CTX_use_certificate_chain_file(context.get(), files.certificate.c_str()) != 1)
    return wrong("{} holds no certificate in PEM: {}", files.certificate, tls_error_text());
  if (SSL_CTX_use_PrivateKey_file(context.get(), files.key.c_str(), SSL_FILETYPE_PEM) != 1
      || SSL_CTX_check_private_key(context.get()) != 1)
    return wrong("{} is not the key, in PEM, of the certificate {}: {}", files.key, files.certificate,
                 tls_error_text());
  if (X509_cmp_current_time(X509_get0_notAfter(SSL_CTX_get0_certificate(context.get()))) < 0)
    return wrong("the certificate {} has expired: make a new one", files.certificate);
  if (SSL_CTX_load_verify_locations(context.get(), files.ca.c_str(), nullptr) != 1)
    return wrong("{} holds no authority's certificate in PEM: {}", files.ca, tls_error_text());

  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context.get(), 0); // each connection shows its certificate
  return std::shared_ptr<const tls_context>(new tls_context(context));
}

tls_session tls_context::accept_session(int fd) const {
  tls_session session(SSL_new(context_.get()));
  if (session && SSL_set_fd(session.get(), fd) == 1)
    SSL_set_accept_state(session.get());
  return session;
}

tls_session tls_context::connect_session(int fd, const std::string& peer_name) const {
  tls_session session(SSL_new(context_.get()));
  if (!session || SSL_set_fd(session.get(), fd) != 1)
    return nullptr;
  SSL_set_connect_state(session.get());
  auto* expected = SSL_get0_param(session.get());
  const auto set = is_address(peer_name) ? X509_VERIFY_PARAM_set1_ip_asc(expected, peer_name.c_str())
                                         : X509_VERIFY_PARAM_set1_host(expected, peer_name.c_str(), 0);
  if (set != 1)
    return nullptr;
  if (!is_address(peer_name))
    SSL_set_tlsext_host_name(session.get(), peer_name.c_str());
  return session;
}

std::vector<std::string> peer_names(const ssl_st& session) {
  std::vector<std::string> names;
  const auto* certificate = SSL_get0_peer_certificate(&session);
  if (certificate == nullptr)
    return names;
  const std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> alternatives(
    static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)),
    GENERAL_NAMES_free);
  for (int i = 0; alternatives && i < sk_GENERAL_NAME_num(alternatives.get()); ++i) {
    const auto* name = sk_GENERAL_NAME_value(alternatives.get(), i);
    if (name->type == GEN_DNS)
      names.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                         static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName)));
  }
  char common[256] = "";
  const auto size =
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, common, sizeof common);
  if (size > 0)
    names.emplace_back(common, static_cast<std::size_t>(size));
  return names;
}

} // namespace cairn
