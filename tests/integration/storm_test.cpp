/// A hundred thousand messages that are wrong in some way, and some that are right, over a real socket to a
/// real node. It must go on serving, not grow, answer each once that is a request, and show nothing that it
/// did not acknowledge.

#include "core/digest.hpp"
#include "net/endpoint.hpp"
#include "tests/harness/archives.hpp"
#include "tests/harness/coordinator.hpp"
#include "tests/support/process_memory.hpp"
#include "tests/support/raw_peer.hpp"
#include "tests/support/spoiler.hpp"
#include "tests/support/test_seed.hpp"

#include <cstdlib>
#include <map>
#include <set>

#include <caf/actor_system.hpp>
#include <caf/binary_serializer.hpp>
#include <caf/io/all.hpp>
#include <caf/message_id.hpp>
#include <caf/scoped_actor.hpp>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <pqxx/pqxx>
#include <spdlog/spdlog.h>

namespace cairn {
namespace {

using namespace harness;
using namespace std::chrono_literals;

constexpr std::uint64_t typed_count = 80'000;
constexpr std::uint64_t raw_count = 20'000;
constexpr std::uint64_t numbered_count = 1'000;
constexpr std::size_t window = 256;          ///< messages under way
constexpr std::uint64_t version_count = 150; ///< that archives are about: the node keeps something of each
constexpr std::size_t max_growth_kib = 48U * 1024U;
constexpr auto patience = 60s;

/// The node that the tests of this file share.
class StormTest : public testing::Test {
protected:
  static void SetUpTestSuite() {
    spdlog::set_level(spdlog::level::off);
    let_programs_free_at_once();
    node_ = std::make_unique<host_process>(host_options{.arguments = {"--log-level=error"}});
  }
  static void TearDownTestSuite() { node_.reset(); }
  static host_process& node() { return *node_; }

  /// @returns a node as something that anything can be sent to
  static caf::actor connect(transport& wire, const host_process& to = node()) {
    auto host = connect_host(wire, to.address(), patience);
    if (!host)
      throw harness_error(host.error().message);
    auto found = ask_for_node(wire.system(), host->host, {}, patience);
    if (!found)
      throw harness_error(found.error().message);
    return caf::actor_cast<caf::actor>(std::move(found->node));
  }

  /// As any other client sees it.
  static void expect_serving(client& by, const std::string& key) {
    const auto object = make_object(by, key, {1'000, 2'000});
    const auto archived = archive(by, object);
    ASSERT_EQ(archived.result, errc::success) << archived.error_message;
    EXPECT_EQ(retrieve(by, key).bytes, content_of(object));
  }

private:
  static inline std::unique_ptr<host_process> node_;
};

// --- messages with types and fields ---

payload data_of(std::uint64_t version, std::int32_t sequence_num) {
  return bytes_of_seed(200 + version % 100, version * 10 + static_cast<std::uint64_t>(sequence_num));
}

/// Valid messages about a few versions, in an order that makes little sense.
class message_maker {
public:
  message_maker(spoiler& random, std::string node, std::uint64_t first_version)
      : random_(random), node_(std::move(node)), first_version_(first_version) {}

  /// Calls `use` with the next message.
  template <class Use>
  void make(Use use) {
    const auto version = unified_id{first_version_ + random_.below(version_count)};
    // Cancelled and deleted are only some, or soon all would be.
    const auto doomed = unified_id{first_version_ + version_count - 1 - random_.below(version_count / 3)};
    const auto num = static_cast<std::int32_t>(random_.below(3));
    const auto data = data_of(version.value, num);
    const segment_info segment{collection_id{1},
                               fmt::format("storm/{}", version.value),
                               version,
                               timestamp_us{1'700'000'000'000'000},
                               0,
                               1};
    const named_segment_key key{version, 0, 1, {}};
    const file_info file{static_cast<std::int64_t>(data.size()), 1, {}};
    const node_names nodes{node_, {}};
    const auto first = data_of(version.value, 0);
    switch (random_.below(22)) {
      case 0:
      case 1:
      case 2:
        return use(archive_key_entire{{}, segment, describe(first, 0), file, nodes, {{"a", "b"}}, first});
      case 3:
      case 4: return use(archive_key_start{{}, segment, describe(first, 0), nodes, first});
      case 5:
      case 6: return use(archive_key_next{{}, key, describe(data, num), data});
      case 7:
      case 8: return use(archive_key_final{{}, key, describe(data, num), file, {}, data});
      case 9: return use(archive_key_cancel{{}, {doomed, 0, 1, {}}});
      case 10:
        return use(destroy_key{{}, segment.collection, segment.key, doomed, {}, segment.timestamp, 1, nodes});
      case 11: return use(step<start_conjoined_archive>(segment));
      case 12: return use(step<abort_conjoined_archive>(segment));
      case 13: return use(step<finish_conjoined_archive>(segment));
      case 14: return use(gateway_start{{}, version, timestamp_us{1'600'000'000'000'000}, node_});
      case 15: return use(purge{{}, {{version, 0, 1, node_}}});
      case 16: return use(sync_value_file{});
      case 17: return use(lookup{{}, collection_id{1}, segment.key, {}});
      case 18: return use(list_keys{{}, collection_id{1}, "storm/", {}, 20});
      case 19: return use(list_versions{{}, collection_id{1}, "storm/", {}, {}, 20});
      case 20: return use(list_handoffs{{}, node_, 0, 20});
      default: {
        if (random_.one_in(2))
          return use(retrieve_next{{}, random_.below(1'000), num});
        retrieve_start question;
        question.segment = key;
        return use(question);
      }
    }
  }

private:
  template <class Step>
  static Step step(const segment_info& segment) {
    return {{}, segment.collection, segment.key, segment.version, segment.timestamp, {}};
  }

  spoiler& random_;
  std::string node_;
  std::uint64_t first_version_;
};

/// Sends plain messages and counts what comes back for each.
class storm {
public:
  storm(caf::actor_system& system, caf::actor node, std::uint64_t seed)
      : self_(system), node_(std::move(node)), random_(seed) {
    self_->request(node_, patience, hello{})
      .receive([&](const hello_reply& reply) { node_name_ = reply.node; },
               [&](const caf::error& error) { throw harness_error(system.render(error)); });
  }

  void send(std::uint64_t count) {
    message_maker maker(random_, node_name_, 1'000);
    for (std::uint64_t i = 0; i < count; ++i) {
      maker.make([&](auto message) { send_one(std::move(message)); });
      while (waiting_.size() >= window)
        receive();
    }
    while (!waiting_.empty())
      receive();
  }

  /// Versions for which an archive was acknowledged.
  [[nodiscard]] const std::set<std::uint64_t>& acknowledged() const { return acknowledged_; }
  [[nodiscard]] const std::map<errc, std::uint64_t>& results() const { return results_; }

private:
  template <class Message>
  void send_one(Message message) {
    const auto fields = spoiler::field_count(message);
    if (!random_.one_in(5)) {
      // Each field in its turn; sometimes another with it.
      random_.spoil(message, turn_++ % fields);
      if (random_.one_in(4))
        random_.spoil(message, random_.below(fields));
      if constexpr (requires {
                      message.sequence;
                      message.data;
                    })
        if (random_.one_in(2)) // right digests of wrong data
          message.sequence = describe(message.data, message.sequence.sequence_num);
    }
    message.env.message_id = ++last_id_;
    std::uint64_t archives = 0;
    if constexpr (std::is_same_v<Message, archive_key_entire>)
      archives = message.segment.version.value;
    else if constexpr (std::is_same_v<Message, archive_key_final>)
      archives = message.key.version.value;
    waiting_.emplace(last_id_, archives);
    self_->send(node_, std::move(message));
  }

  void receive() {
    self_->receive(
      [&](const archive_reply& reply) { note(reply); }, [&](const retrieve_reply& reply) { note(reply); },
      [&](const lookup_reply& reply) { note(reply); }, [&](const list_reply& reply) { note(reply); },
      [&](const handoff_reply& reply) { note(reply); },
      caf::after(patience) >>
        [&] {
          throw harness_error(fmt::format("{} messages have no reply, the first is {}", waiting_.size(),
                                          waiting_.begin()->first));
        });
  }

  template <class Reply>
  void note(const Reply& reply) {
    const auto sent = waiting_.extract(reply.env.message_id);
    EXPECT_FALSE(sent.empty()) << "a second reply to " << reply.env.message_id;
    EXPECT_EQ(reply.result == errc::success, reply.error_message.empty()) << reply.error_message;
    EXPECT_LT(reply.error_message.size(), 1'000U) << reply.error_message.substr(0, 300);
    EXPECT_NE(reply.result, errc::internal_error) << reply.error_message;
    ++results_[reply.result];
    if (!sent.empty() && sent.mapped() != 0 && reply.result == errc::success)
      acknowledged_.insert(sent.mapped());
  }

  caf::scoped_actor self_;
  caf::actor node_;
  spoiler random_;
  std::string node_name_;
  std::uint64_t last_id_ = 0;
  std::size_t turn_ = 0;
  std::map<std::uint64_t, std::uint64_t> waiting_; ///< message -> version that it archives, or 0
  std::set<std::uint64_t> acknowledged_;
  std::map<errc, std::uint64_t> results_;
};

/// What anybody can see was acknowledged, and is whole.
void expect_nothing_partial(client& by, const host_process& node,
                            const std::set<std::uint64_t>& acknowledged) {
  pqxx::connection connection(node.database());
  pqxx::nontransaction query(connection);
  const auto count = [&](const std::string& sql) {
    return query.exec1("SELECT count(*) FROM cairn." + sql)[0].as<int>();
  };
  EXPECT_EQ(count("rejected"), 0) << "the database refused what validation let through";
  EXPECT_EQ(
    count("segment_sequence q WHERE NOT EXISTS (SELECT FROM cairn.segment s WHERE s.id = q.segment_id)"), 0);
  EXPECT_EQ(count("segment s WHERE status = 'F' AND (SELECT count(*) - 1 - max(sequence_num)"
                  " FROM cairn.segment_sequence q WHERE q.segment_id = s.id) IS DISTINCT FROM 0"),
            0);
  std::size_t seen = 0;
  for (const auto& row :
       query.exec("SELECT DISTINCT unified_id, conjoined_part, segment_num, handoff_node_id IS NULL"
                  " FROM cairn.segment WHERE status = 'F'")) {
    const auto version = row[0].as<std::uint64_t>();
    if (version > 1'000'000'000'000) // the client's own
      continue;
    EXPECT_TRUE(acknowledged.contains(version)) << "visible, yet nobody was told: " << version;
    retrieve_start question;
    question.segment = {unified_id{version}, row[1].as<std::int32_t>(), row[2].as<std::int32_t>(),
                        row[3].as<bool>() ? "" : by.node().node};
    const auto back = retrieve(by, question);
    EXPECT_EQ(back.result, errc::success) << version;
    ++seen;
  }
  EXPECT_GT(seen, 20U) << "else it shows nothing";
}

TEST_F(StormTest, TypedMessagesLeaveTheNodeServingAndItsMemoryFlat) {
  const auto seed = test_seed();
  const auto net = open_network();
  storm messages(net->system(), connect(net->wire()), seed);
  messages.send(typed_count / 4);
  const auto before = resident_kib(node().pid());
  messages.send(typed_count - typed_count / 4);
  const auto after = resident_kib(node().pid());
  fmt::print("resident_kib before={} after={}\n", before, after);
  for (const auto& [result, count] : messages.results())
    fmt::print("result={} count={}\n", to_string(result), count);
  EXPECT_LT(after, before + max_growth_kib);
  EXPECT_GT(messages.results().at(errc::success), typed_count / 20) << "else it shows little";
  auto other = client::connect(net->wire(), node().address());
  ASSERT_TRUE(other);
  expect_serving(**other, "beside/typed");
  expect_nothing_partial(**other, node(), messages.acknowledged());
}

// --- messages that do not deserialise, and types that the node does not take ---

/// Goes on the wire as just these bytes, under the name that it is registered with.
template <std::size_t Kind>
struct raw_message {
  std::vector<char> bytes;
  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, raw_message& x) {
    if constexpr (std::is_base_of_v<caf::serializer, Inspector>)
      return x.bytes.empty() ? caf::error{} : f.apply_raw(x.bytes.size(), x.bytes.data());
    else if constexpr (std::is_base_of_v<caf::deserializer, Inspector>)
      return caf::sec::invalid_argument; // nothing of this kind comes back
    else
      return f(caf::meta::type_name("raw_message"));
  }
};

/// Types under the names of others.
struct forged_config : caf::actor_system_config {
  forged_config() {
    load<caf::io::middleman>();
    set("scheduler.policy", caf::atom("sharing"));
    set("middleman.workers", std::size_t{0});
    add_message_type<raw_message<0>>("cairn::archive_key_entire");
    add_message_type<raw_message<1>>("cairn::archive_key_next");
    add_message_type<raw_message<2>>("cairn::purge");
    add_message_type<raw_message<3>>("cairn::list_versions");
    add_message_type<raw_message<4>>("cairn::status_reply"); // known, but not taken
    add_message_type<raw_message<5>>("cairn::never_heard_of");
    add_message_type<find_node>("cairn::find_node");
    add_message_type<found_node>("cairn::found_node");
    add_message_type<list_hosted>("cairn::list_hosted");
    add_message_type<hosted_nodes>("cairn::hosted_nodes");
    add_message_type<heartbeat>("cairn::heartbeat");
    add_message_type<hello>("cairn::hello");
    add_message_type<hello_reply>("cairn::hello_reply");
    add_message_type<archive_reply>("cairn::archive_reply");
    add_message_type<list_reply>("cairn::list_reply");
  }
};

template <class Message>
std::vector<char> bytes_of(Message message) {
  std::vector<char> bytes;
  caf::binary_serializer sink(nullptr, bytes);
  if (auto error = sink(message))
    throw harness_error("a message does not serialise");
  return bytes;
}

class raw_storm {
public:
  raw_storm(caf::actor_system& system, caf::actor node, std::uint64_t seed)
      : self_(system), node_(std::move(node)), random_(seed) {
    self_->request(node_, patience, hello{})
      .receive([&](const hello_reply& reply) { node_name_ = reply.node; },
               [&](const caf::error& error) { throw harness_error(system.render(error)); });
    message_maker maker(random_, node_name_, 5'000'000);
    while (entire_.empty() || next_.empty() || purge_.empty() || list_.empty())
      maker.make([&](auto message) {
        using type = decltype(message);
        if constexpr (std::is_same_v<type, archive_key_entire>)
          entire_ = bytes_of(message);
        else if constexpr (std::is_same_v<type, archive_key_next>)
          next_ = bytes_of(message);
        else if constexpr (std::is_same_v<type, purge>)
          purge_ = bytes_of(message);
        else if constexpr (std::is_same_v<type, list_versions>)
          list_ = bytes_of(message);
      });
  }

  void send(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; i += window / 4) {
      std::vector<std::function<void()>> replies;
      for (std::size_t j = 0; j < window / 4; ++j)
        replies.push_back(send_one());
      for (auto& receive : replies)
        receive();
    }
  }
  std::uint64_t answered = 0; ///< by the node
  std::uint64_t refused = 0;  ///< by CAF

private:
  std::function<void()> send_one() {
    switch (random_.below(6)) {
      case 0: return ask<archive_reply>(raw_message<0>{spoil(entire_)});
      case 1: return ask<archive_reply>(raw_message<1>{spoil(next_)});
      case 2: return ask<archive_reply>(raw_message<2>{spoil(purge_)});
      case 3: return ask<list_reply>(raw_message<3>{spoil(list_)});
      case 4: return tell(raw_message<4>{spoil(list_)});
      default: return tell(raw_message<5>{spoil(list_)});
    }
  }

  /// What is no request of the protocol is dropped, so no answer is waited for.
  template <class Message>
  std::function<void()> tell(Message message) {
    self_->send(node_, std::move(message));
    return [] {};
  }

  template <class Reply, class Message>
  std::function<void()> ask(Message message) {
    return [this, handle = self_->request(node_, patience, std::move(message))]() mutable {
      handle.receive([&](const Reply&) { ++answered; },
                     [&](const caf::error& error) {
                       EXPECT_FALSE(error == caf::sec::request_timeout) << "no reply";
                       ++refused;
                     });
    };
  }

  std::vector<char> spoil(std::vector<char> bytes) {
    const auto at = random_.below(bytes.size());
    switch (random_.below(5)) {
      case 0: bytes.resize(at); break;                    // cut short
      case 1: bytes.insert(bytes.end(), 100, 'x'); break; // more than there should be
      case 2: bytes[at] = static_cast<char>(random_.below(256)); break;
      case 3: // a length of some gigabytes
        for (std::size_t i = at; i < std::min(at + 5, bytes.size()); ++i)
          bytes[i] = static_cast<char>(i == at + 4 ? 0x0f : 0xff);
        break;
      default:
        for (auto& byte : bytes)
          byte = static_cast<char>(random_.below(256));
    }
    return bytes;
  }

  caf::scoped_actor self_;
  caf::actor node_;
  spoiler random_;
  std::string node_name_;
  std::vector<char> entire_, next_, purge_, list_;
};

TEST_F(StormTest, BytesThatAreNoMessageLeaveTheNodeServingAndItsMemoryFlat) {
  const auto seed = test_seed();
  forged_config forged;
  caf::actor_system elsewhere(forged);
  const auto wire = transport::make(elsewhere, {});
  ASSERT_TRUE(wire);
  raw_storm messages(elsewhere, connect(**wire), seed);
  messages.send(raw_count / 4);
  const auto before = resident_kib(node().pid());
  messages.send(raw_count - raw_count / 4);
  const auto after = resident_kib(node().pid());
  fmt::print("resident_kib before={} after={} answered={} refused={}\n", before, after, messages.answered,
             messages.refused);
  EXPECT_LT(after, before + max_growth_kib);
  EXPECT_GT(messages.answered, 0U);
  EXPECT_GT(messages.refused, raw_count / 6);
  const auto net = open_network();
  auto other = client::connect(net->wire(), node().address());
  ASSERT_TRUE(other);
  expect_serving(**other, "beside/raw");
}

// --- messages under numbers that CAF gives to other things ---

TEST_F(StormTest, MessagesUnderAnyNumberLeaveTheNodeServing) {
  spoiler random(test_seed());
  const auto net = open_network();
  auto host = connect_host(net->wire(), node().address(), patience);
  ASSERT_TRUE(host) << host.error().message;
  const std::uint64_t targets[] = {host->host.id(), connect(net->wire()).id()};
  for (std::uint64_t i = 0; i < numbered_count; ++i) {
    // Each sort in its turn: response, answered, and whose queue it is.
    const auto number = i % 16 << 60U | random.below(i % 3 == 0 ? 1ULL << 60U : 4);
    const caf::message_id id(number);
    forger forged(net->system());
    raw_peer peer(node().direct_address());
    peer.send(forged.handshake()
              + forged.numbered(targets[i / 16 % 2], number, find_node{wire_version, std::string(40, 'n')}));
    if (id.is_response() || id.is_answered() || id.is_stream_message()) {
      ASSERT_TRUE(peer.is_ended_within(patience)) << std::hex << number;
    }
  }
  auto other = client::connect(net->wire(), node().address());
  ASSERT_TRUE(other) << other.error().message;
  expect_serving(**other, "beside/numbered");
}

// --- lists of more than is stored ---

TEST_F(StormTest, ClientIsToldOfOnePairTooMany) {
  const auto net = open_network();
  auto by = client::connect(net->wire(), node().address());
  ASSERT_TRUE(by) << by.error().message;
  const auto object = make_object(**by, "pairs", {1'000});
  auto message = entire_of(object);
  for (std::size_t i = 0; i <= max_meta_pairs; ++i)
    message.meta.emplace(fmt::format("key {}", i), "v");
  caf::scoped_actor self(net->system());
  const auto target = connect(net->wire());
  self->request(target, patience, hello{}).receive([](const hello_reply&) {}, [](const caf::error&) {});
  self->request(target, patience, message)
    .receive(
      [](const archive_reply& reply) {
        EXPECT_EQ(reply.result, errc::invalid_message) << reply.error_message;
        EXPECT_NE(reply.error_message.find("pairs"), std::string::npos) << reply.error_message;
      },
      [&](const caf::error& error) { ADD_FAILURE() << net->system().render(error); });
}

TEST_F(StormTest, MetadataOfAnyLengthIsNotKept) {
  const host_process fresh(host_options{.arguments = {"--log-level=error"}}); // whose peak is its own
  const auto net = open_network();
  auto by = client::connect(net->wire(), fresh.address());
  ASSERT_TRUE(by) << by.error().message;
  auto message = entire_of(make_object(**by, "many pairs", {1'000}));
  for (std::size_t i = 0; i < 1'000'000; ++i) // 9 MB
    message.meta.emplace_hint(message.meta.end(), fmt::format("{:07}", i), "");
  const auto target = connect(net->wire(), fresh);
  const auto before = resident_kib(fresh.pid(), true);
  caf::scoped_actor self(net->system());
  self->request(target, patience, hello{}).receive([](const hello_reply&) {}, [](const caf::error&) {});
  self->request(target, patience, message)
    .receive([](const archive_reply& reply) { EXPECT_NE(reply.result, errc::success); },
             [](const caf::error&) {});
  EXPECT_LT(resident_kib(fresh.pid(), true), before + max_growth_kib) << "over 100 MB, were all pairs kept";
  expect_serving(**by, "after/pairs");
}

} // namespace
} // namespace cairn
