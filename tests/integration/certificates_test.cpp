/// Certificates for trials and tests, as configs/make-certs.sh makes them; openssl is the judge.

#include "tests/harness/certificates.hpp"
#include "tests/harness/program.hpp"

#include <filesystem>

#include <gtest/gtest.h>

namespace cairn {
namespace {

using namespace harness;

namespace fs = std::filesystem;

program_outcome openssl(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "/usr/bin/openssl");
  return run_program(arguments);
}

program_outcome verify(const certificate_files& files, const std::string& purpose) {
  return openssl({"verify", "-CAfile", files.ca, "-purpose", purpose, files.certificate});
}

program_outcome make_certs(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), program_path("cairn-make-certs"));
  return run_program(arguments);
}

bool is_only_for_owner(const std::string& path) {
  return fs::status(path).permissions() == (fs::perms::owner_read | fs::perms::owner_write);
}

TEST(CertificatesTest, SignedForServerAndClientAndForEveryWayToNameThisMachine) {
  certificates authority;
  const auto files = authority.of("node-1");
  EXPECT_EQ(verify(files, "sslserver").exit_code, 0);
  EXPECT_EQ(verify(files, "sslclient").exit_code, 0);
  for (const std::string host : {"node-1", "localhost"})
    EXPECT_NE(
      openssl({"x509", "-in", files.certificate, "-noout", "-checkhost", host}).output.find("does match"),
      std::string::npos)
      << host;
  for (const std::string address : {"127.0.0.1", "::1"})
    EXPECT_NE(
      openssl({"x509", "-in", files.certificate, "-noout", "-checkip", address}).output.find("does match"),
      std::string::npos)
      << address;
  EXPECT_NE(
    openssl({"x509", "-in", files.certificate, "-noout", "-checkhost", "node-2"}).output.find("NOT match"),
    std::string::npos);
}

TEST(CertificatesTest, KeysAreTheirOwnersAlone) {
  certificates authority;
  const auto files = authority.of("node-1");
  EXPECT_TRUE(is_only_for_owner(files.key));
  EXPECT_TRUE(is_only_for_owner(fs::path(files.ca).parent_path() / "ca.key"));
}

TEST(CertificatesTest, AuthoritiesDoNotTrustEachOther) {
  certificates ours;
  certificates theirs;
  auto files = theirs.of("node-1");
  files.ca = ours.of("node-1").ca;
  EXPECT_NE(verify(files, "sslserver").exit_code, 0);
}

TEST(CertificatesTest, ExpiredOneHasExpired) {
  certificates authority;
  const auto outcome = verify(authority.expired("late"), "sslserver");
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_NE((outcome.output + outcome.errors).find("expired"), std::string::npos);
}

TEST(CertificatesTest, RepeatKeepsWhatIsValidAndReplacesWhatIsNot) {
  const scratch_directory directory;
  ASSERT_EQ(make_certs({"--days", "0", directory.path(), "old"}).exit_code, 0);
  ASSERT_EQ(make_certs({directory.path(), "kept"}).exit_code, 0);
  const auto ca = read_file(directory / "ca.pem");
  const auto kept = read_file(directory / "kept.pem");
  const auto old = read_file(directory / "old.pem");
  ASSERT_EQ(make_certs({directory.path(), "kept", "old", "new"}).exit_code, 0);
  EXPECT_EQ(read_file(directory / "ca.pem"), ca);
  EXPECT_EQ(read_file(directory / "kept.pem"), kept);
  EXPECT_NE(read_file(directory / "old.pem"), old) << "it had expired";
  EXPECT_TRUE(fs::exists(directory / "new.pem"));
  write_file(directory / "kept.key", read_file(directory / "new.key")); // a key that is not the certificate's
  ASSERT_EQ(make_certs({directory.path(), "kept"}).exit_code, 0);
  EXPECT_NE(read_file(directory / "kept.pem"), kept);
}

TEST(CertificatesTest, RepeatAfterItWasEndedHalfWayMakesTheRest) {
  const scratch_directory directory;
  ASSERT_EQ(make_certs({directory.path(), "node-1"}).exit_code, 0);
  fs::remove(directory / "node-1.pem"); // the key is put in place first
  fs::remove(directory / "ca.pem");
  ASSERT_EQ(make_certs({directory.path(), "node-1"}).exit_code, 0);
  EXPECT_EQ(
    verify({directory / "ca.pem", directory / "node-1.pem", directory / "node-1.key"}, "sslserver").exit_code,
    0);
}

TEST(CertificatesTest, WrongUsageIsToldApart) {
  const scratch_directory directory;
  for (const std::string name : {"../evil", "", "ca", "a b", ".hidden"})
    EXPECT_EQ(make_certs({directory.path(), name}).exit_code, 2) << name;
  EXPECT_EQ(make_certs({directory.path()}).exit_code, 2);
  EXPECT_EQ(make_certs({"--days", "soon", directory.path(), "node-1"}).exit_code, 2);
  const auto help = make_certs({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_NE(help.output.find("NAME.pem"), std::string::npos);
  EXPECT_TRUE(fs::is_empty(directory.path()));
}

} // namespace
} // namespace cairn
