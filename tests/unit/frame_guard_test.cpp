/// What of CAF's wire protocol a node lets CAF see, and what it refuses first.

#include "actors/interfaces.hpp"
#include "net/system_config.hpp"
#include "net/transport/frame_guard.hpp"

#include <random>
#include <type_traits>
#include <typeinfo>

#include <caf/all.hpp>
#include <caf/binary_deserializer.hpp>
#include <caf/binary_serializer.hpp>
#include <caf/io/basp/header.hpp>
#include <caf/io/basp/instance.hpp>
#include <caf/message_id.hpp>
#include <gtest/gtest.h>

namespace cairn {

namespace {

using caf::io::basp::message_type;
namespace basp = caf::io::basp;

/// Calls `visit` with a request and its reply of each kind in an actor's interface.
template <class Signatures>
struct exchanges_of;
template <class... Requests, class... Replies>
struct exchanges_of<
  caf::detail::type_list<caf::typed_mpi<caf::detail::type_list<Requests>, caf::output_tuple<Replies>>...>> {
  template <class Visitor>
  static void visit(Visitor visit) {
    (visit(Requests{}, Replies{}), ...);
  }
};

/// Two nodes, and frames between them as CAF writes them.
class FrameGuardTest : public ::testing::Test {
protected:
  template <class... Ts>
  std::string bytes_of(Ts&&... values) {
    std::vector<char> buffer;
    caf::binary_serializer out(system_, buffer);
    EXPECT_FALSE(out(std::forward<Ts>(values)...));
    return {buffer.begin(), buffer.end()};
  }

  std::string header_of(message_type operation, std::size_t payload_bytes, std::uint64_t source = 0,
                        std::uint64_t dest = 0, std::uint8_t flags = 0, std::uint64_t data = 0) {
    basp::header header{operation, flags, static_cast<std::uint32_t>(payload_bytes), data, source, dest};
    return bytes_of(header);
  }

  frame_verdict judge(frame_guard& guard, const std::string& header_bytes, const std::string& payload) {
    frame_header header;
    if (const auto verdict = guard.judge_header(header_bytes, header); verdict != frame_verdict::pass)
      return verdict;
    return payload.empty() ? frame_verdict::pass : guard.judge_payload(header, payload);
  }

  frame_verdict judge_message(frame_guard& guard, const std::string& message, std::uint8_t flags = 0,
                              std::uint64_t dest = 7, std::uint64_t source = 3) {
    const auto payload = bytes_of(std::vector<caf::strong_actor_ptr>{}) + message;
    return judge(guard, header_of(message_type::direct_message, payload.size(), source, dest, flags, 1),
                 payload);
  }

  frame_verdict judge_numbered(frame_role role, std::uint64_t number) {
    auto guard = greeted(role);
    const auto payload = bytes_of(std::vector<caf::strong_actor_ptr>{}, caf::make_message(heartbeat{}));
    return judge(guard, header_of(message_type::direct_message, payload.size(), 3, 7, 0, number), payload);
  }

  frame_verdict judge_end(frame_guard& guard, std::uint64_t of_actor) {
    const auto payload = peer_ + self_ + bytes_of(caf::error(caf::exit_reason::normal));
    return judge(guard, header_of(message_type::down_message, payload.size(), of_actor, 0), payload);
  }

  frame_guard greeted(frame_role role = frame_role::server) {
    frame_guard guard(role, 1U << 20U, self_);
    const auto operation =
      role == frame_role::server ? message_type::client_handshake : message_type::server_handshake;
    EXPECT_EQ(judge(guard, header_of(operation, peer_.size()), peer_), frame_verdict::pass);
    return guard;
  }

  system_config config_;
  caf::actor_system system_{config_};
  std::string self_ = bytes_of(system_.node());
  std::string peer_ = bytes_of(caf::make_node_id(42, std::array<std::uint8_t, 20>{1, 2, 3}));
  std::string other_ = bytes_of(caf::make_node_id(43, std::array<std::uint8_t, 20>{1, 2, 3}));
};

TEST_F(FrameGuardTest, LearnsThePeerFromItsHandshake) {
  auto guard = greeted();
  EXPECT_EQ(guard.peer(), peer_);
  // CAF's clients send theirs twice.
  EXPECT_EQ(judge(guard, header_of(message_type::client_handshake, peer_.size(), 0, 0, 2), peer_),
            frame_verdict::pass);
}

TEST_F(FrameGuardTest, ClosesWhenTheFirstFrameIsNoHandshake) {
  for (const auto operation :
       {message_type::server_handshake, message_type::direct_message, message_type::routed_message,
        message_type::monitor_message, message_type::down_message, message_type::heartbeat}) {
    frame_guard guard(frame_role::server, 1U << 20U, self_);
    EXPECT_EQ(judge(guard, header_of(operation, peer_.size()), peer_), frame_verdict::close)
      << static_cast<int>(operation);
  }
}

TEST_F(FrameGuardTest, ClosesOnAHandshakeInAnotherName) {
  auto guard = greeted();
  EXPECT_EQ(judge(guard, header_of(message_type::client_handshake, other_.size()), other_),
            frame_verdict::close);
  frame_guard imposter(frame_role::server, 1U << 20U, self_);
  EXPECT_EQ(judge(imposter, header_of(message_type::client_handshake, self_.size()), self_),
            frame_verdict::close);
}

TEST_F(FrameGuardTest, ClosesOnALengthOverTheLimitBeforeRoomIsMade) {
  auto guard = greeted();
  EXPECT_EQ(judge(guard, header_of(message_type::direct_message, (1U << 20U) + 1, 3, 7), "x"),
            frame_verdict::close);
  EXPECT_EQ(judge(guard, header_of(message_type::direct_message, 0xFFFFFFFF, 3, 7), "x"),
            frame_verdict::close);
  EXPECT_EQ(
    judge(guard, header_of(message_type::monitor_message, frame_guard::max_control_bytes + 1, 3, 7), "x"),
    frame_verdict::close);
  frame_guard fresh(frame_role::server, 1U << 20U, self_);
  EXPECT_EQ(judge(fresh, header_of(message_type::client_handshake, frame_guard::max_control_bytes + 1), "x"),
            frame_verdict::close);
}

TEST_F(FrameGuardTest, PassesMessagesOfOurOwn) {
  auto guard = greeted();
  EXPECT_EQ(judge_message(guard, bytes_of(caf::make_message(hello{}))), frame_verdict::pass);
  EXPECT_EQ(judge_message(guard, bytes_of(caf::make_message(archive_key_entire{}))), frame_verdict::pass);
}

TEST_F(FrameGuardTest, DropsWhatWouldEndOrFillTheNode) {
  auto guard = greeted();
  // An exit message would end the node's actor, whoever sends it.
  EXPECT_EQ(judge_message(guard, bytes_of(caf::make_message(caf::exit_msg{{}, caf::exit_reason::kill}))),
            frame_verdict::drop);
  EXPECT_EQ(judge_message(guard, bytes_of(caf::make_message(caf::down_msg{{}, caf::exit_reason::kill}))),
            frame_verdict::drop);
  // Of a vector of bytes CAF makes room for as many as it is told there are.
  EXPECT_EQ(judge_message(guard, bytes_of(caf::make_message(std::vector<char>(10)))), frame_verdict::drop);
  EXPECT_EQ(judge_message(guard, bytes_of(caf::make_message(std::string("x")))), frame_verdict::drop);
  EXPECT_EQ(judge_message(guard, bytes_of(caf::make_message(hello{}, std::vector<char>(10)))),
            frame_verdict::drop);
  EXPECT_EQ(judge_message(guard, bytes_of(caf::make_message())), frame_verdict::drop);
  // The same, hidden in an error's context.
  const auto hidden = caf::make_error(caf::sec::runtime_error, std::vector<char>(10));
  EXPECT_EQ(judge_message(guard, bytes_of(caf::make_message(hidden))), frame_verdict::drop);
  const auto plain = caf::make_error(caf::sec::runtime_error, std::string("why"), std::string("where"));
  auto client = greeted(frame_role::client);
  EXPECT_EQ(judge_message(client, bytes_of(caf::make_message(hidden))), frame_verdict::drop);
  EXPECT_EQ(judge_message(client, bytes_of(caf::make_message(plain))), frame_verdict::pass);
  EXPECT_EQ(judge_message(guard, bytes_of(caf::make_message(plain))), frame_verdict::drop)
    << "a node asks its clients nothing that could fail";
}

TEST_F(FrameGuardTest, PassesMessagesNumberedAsCafNumbersThem) {
  for (const auto role : {frame_role::server, frame_role::client}) {
    EXPECT_EQ(judge_numbered(role, 0), frame_verdict::pass) << "urgent, no answer wanted";
    EXPECT_EQ(judge_numbered(role, caf::message_id{}.integer_value()), frame_verdict::pass);
    for (const std::uint64_t request : {1ULL, 77ULL, 0x0FFFFFFFFFFFFFFFULL}) {
      const auto normal = caf::make_message_id(request);
      EXPECT_EQ(judge_numbered(role, normal.integer_value()), frame_verdict::pass);
      EXPECT_EQ(judge_numbered(role, normal.with_high_priority().integer_value()), frame_verdict::pass);
    }
  }
  const auto answer = caf::make_message_id(77).response_id();
  EXPECT_EQ(judge_numbered(frame_role::client, answer.integer_value()), frame_verdict::pass);
  EXPECT_EQ(judge_numbered(frame_role::client, answer.with_high_priority().integer_value()),
            frame_verdict::pass);
}

TEST_F(FrameGuardTest, ClosesOnMessagesForTheQueuesOfStreams) {
  for (const auto role : {frame_role::server, frame_role::client})
    for (const auto category :
         {caf::message_id::upstream_message_category, caf::message_id::downstream_message_category})
      for (const std::uint64_t flags :
           {std::uint64_t{0}, caf::message_id::response_flag_mask, caf::message_id::answered_flag_mask})
        for (const std::uint64_t request : {0ULL, 1ULL, 77ULL})
          EXPECT_EQ(judge_numbered(role, flags | category << caf::message_id::category_offset | request),
                    frame_verdict::close)
            << category << ' ' << flags << ' ' << request;
}

TEST_F(FrameGuardTest, ClosesOnNumbersThatCafGivesNoMessage) {
  for (const auto role : {frame_role::server, frame_role::client})
    for (const auto category : {std::uint64_t{0}, caf::message_id::default_async_value}) {
      for (const std::uint64_t request : {0ULL, 77ULL}) {
        EXPECT_EQ(judge_numbered(role, category | caf::message_id::answered_flag_mask | request),
                  frame_verdict::close);
        EXPECT_EQ(judge_numbered(role, category | caf::message_id::answered_flag_mask
                                         | caf::message_id::response_flag_mask | request),
                  frame_verdict::close);
      }
      EXPECT_EQ(judge_numbered(role, category | caf::message_id::response_flag_mask), frame_verdict::close)
        << "a response to nothing";
    }
}

TEST_F(FrameGuardTest, ANodeTakesNoResponses) {
  const auto answer = caf::make_message_id(1).response_id();
  EXPECT_EQ(judge_numbered(frame_role::server, answer.integer_value()), frame_verdict::close);
  EXPECT_EQ(judge_numbered(frame_role::server, answer.with_high_priority().integer_value()),
            frame_verdict::close);
}

TEST_F(FrameGuardTest, ANodeTakesEachRequestAndNoReply) {
  auto server = greeted();
  auto client = greeted(frame_role::client);
  const auto expect = [&]<class Request, class Reply>(const Request& request, const Reply& reply) {
    EXPECT_EQ(judge_message(server, bytes_of(caf::make_message(request))), frame_verdict::pass)
      << typeid(Request).name();
    constexpr auto is_both = std::is_same_v<Request, Reply>;
    EXPECT_EQ(judge_message(server, bytes_of(caf::make_message(reply))),
              is_both ? frame_verdict::pass : frame_verdict::drop)
      << typeid(Reply).name();
    EXPECT_EQ(judge_message(client, bytes_of(caf::make_message(reply))), frame_verdict::pass)
      << typeid(Reply).name();
  };
  exchanges_of<host_actor::signatures>::visit(expect);
  exchanges_of<spawned_node_actor::signatures>::visit(expect);
}

TEST_F(FrameGuardTest, ClosesWhenAClientHasTooManyActors) {
  auto guard = greeted();
  const auto question = bytes_of(caf::make_message(heartbeat{}));
  for (std::uint64_t actor = 1; actor <= frame_guard::max_sources; ++actor)
    ASSERT_EQ(judge_message(guard, question, 0, 7, actor), frame_verdict::pass) << actor;
  EXPECT_EQ(judge_message(guard, question, 0, 7, 1), frame_verdict::pass) << "one that is known";
  EXPECT_EQ(judge_message(guard, question, 0, 7, 0), frame_verdict::pass) << "nobody: no proxy is made";
  EXPECT_EQ(judge_message(guard, question, 0, 7, frame_guard::max_sources + 1), frame_verdict::close);
  EXPECT_NE(guard.reason().find("actors"), std::string_view::npos) << guard.reason();
}

TEST_F(FrameGuardTest, ActorsThatHaveEndedMakeRoomForOthers) {
  auto guard = greeted();
  const auto question = bytes_of(caf::make_message(heartbeat{}));
  for (std::uint64_t actor = 1; actor <= 3 * frame_guard::max_sources; ++actor) {
    ASSERT_EQ(judge_message(guard, question, 0, 7, actor), frame_verdict::pass) << actor;
    ASSERT_EQ(judge_end(guard, actor), frame_verdict::pass);
  }
}

TEST_F(FrameGuardTest, WhatIsDroppedCountsAsNoActor) {
  auto guard = greeted();
  const auto dropped = bytes_of(caf::make_message(std::string("x")));
  for (std::uint64_t actor = 1; actor <= 2 * frame_guard::max_sources; ++actor)
    ASSERT_EQ(judge_message(guard, dropped, 0, 7, actor), frame_verdict::drop);
  EXPECT_EQ(judge_message(guard, bytes_of(caf::make_message(hello{})), 0, 7, 1), frame_verdict::pass);
}

TEST_F(FrameGuardTest, AClientCountsNoActorsOfItsNode) {
  auto guard = greeted(frame_role::client);
  const auto answer = bytes_of(caf::make_message(hello_reply{}));
  for (std::uint64_t actor = 1; actor <= frame_guard::max_sources + 1; ++actor)
    ASSERT_EQ(judge_message(guard, answer, 0, 7, actor), frame_verdict::pass) << actor;
}

/// Decoding, not the guard: how many elements of a list are kept, whatever its length says.
TEST_F(FrameGuardTest, KeepsNoMoreOfAListThanItsLimitIsWorth) {
  const auto decoded = [&]<class Message>(const std::string& bytes, Message&& message) {
    caf::binary_deserializer source(system_, bytes.data(), bytes.size());
    return !source(message);
  };
  const auto with_pairs = [](std::size_t count) {
    archive_key_final message;
    for (std::size_t i = 0; i < count; ++i)
      message.meta.emplace(std::to_string(i), "v");
    return message;
  };
  const auto with_keys = [](std::size_t count) {
    purge message;
    message.keys.resize(count);
    return message;
  };
  archive_key_final final_one;
  for (const std::size_t count : {std::size_t{0}, std::size_t{1}, max_meta_pairs, max_meta_pairs + 1}) {
    ASSERT_TRUE(decoded(bytes_of(with_pairs(count)), final_one));
    EXPECT_EQ(final_one.meta, with_pairs(count).meta);
  }
  ASSERT_TRUE(decoded(bytes_of(with_pairs(16 * max_meta_pairs)), final_one));
  EXPECT_EQ(final_one.meta.size(), max_meta_pairs + 1) << "enough to see that they are too many";
  EXPECT_FALSE(decoded(bytes_of(with_pairs(16 * max_meta_pairs + 1)), final_one));
  archive_key_entire entire;
  entire.meta = with_pairs(200'000).meta;
  archive_key_entire read;
  EXPECT_FALSE(decoded(bytes_of(entire), read));
  EXPECT_LE(read.meta.size(), max_meta_pairs + 1);

  purge purged;
  for (const std::size_t count : {std::size_t{0}, std::size_t{1}, max_purge_keys, max_purge_keys + 1}) {
    ASSERT_TRUE(decoded(bytes_of(with_keys(count)), purged));
    EXPECT_EQ(purged.keys.size(), count);
  }
  EXPECT_FALSE(decoded(bytes_of(with_keys(100'000)), purged));
  EXPECT_LE(purged.keys.size(), 16 * max_purge_keys);
}

TEST_F(FrameGuardTest, OffersSpawningAndNoOtherService) {
  auto guard = greeted();
  const auto spawn_server = static_cast<std::uint64_t>(caf::atom("SpawnServ"));
  const auto config_server = static_cast<std::uint64_t>(caf::atom("ConfigServ"));
  const auto request = [&](caf::message arguments) {
    return bytes_of(caf::make_message(caf::spawn_atom::value, std::string("cairn.storage_node"),
                                      std::move(arguments), std::set<std::string>{"x"}));
  };
  EXPECT_EQ(judge_message(guard, request({}), 1, spawn_server), frame_verdict::pass);
  EXPECT_EQ(judge_message(guard, request(caf::make_message(std::vector<char>(9))), 1, spawn_server),
            frame_verdict::drop);
  EXPECT_EQ(judge_message(guard, request({}), 1, config_server), frame_verdict::drop);
  EXPECT_EQ(judge_message(guard, request({})), frame_verdict::drop);
  const auto put =
    bytes_of(caf::make_message(caf::put_atom::value, std::string("key"), caf::make_message(1)));
  EXPECT_EQ(judge_message(guard, put, 1, config_server), frame_verdict::drop);
  EXPECT_EQ(judge_message(guard, put, 1, spawn_server), frame_verdict::drop);
}

TEST_F(FrameGuardTest, PassesNoticesOfThePeerToThisNodeAlone) {
  auto guard = greeted();
  const auto monitor = [&](const std::string& from, const std::string& to) {
    return judge(guard, header_of(message_type::monitor_message, from.size() + to.size(), 0, 9), from + to);
  };
  EXPECT_EQ(monitor(peer_, self_), frame_verdict::pass);
  EXPECT_EQ(monitor(other_, self_), frame_verdict::drop);
  EXPECT_EQ(monitor(peer_, other_), frame_verdict::drop) << "it would be forwarded";
  const auto down = [&](const std::string& from, const std::string& to, const caf::error& why) {
    const auto payload = from + to + bytes_of(why);
    return judge(guard, header_of(message_type::down_message, payload.size(), 9, 0), payload);
  };
  EXPECT_EQ(down(peer_, self_, caf::exit_reason::kill), frame_verdict::pass);
  EXPECT_EQ(down(peer_, other_, caf::exit_reason::kill), frame_verdict::drop);
  EXPECT_EQ(down(peer_, self_, caf::make_error(caf::sec::runtime_error, std::vector<char>(9))),
            frame_verdict::drop);
}

TEST_F(FrameGuardTest, RoutesNothing) {
  auto guard = greeted();
  const auto payload =
    peer_ + self_ + bytes_of(std::vector<caf::strong_actor_ptr>{}, caf::make_message(hello{}));
  EXPECT_EQ(judge(guard, header_of(message_type::routed_message, payload.size(), 3, 7), payload),
            frame_verdict::drop);
}

TEST_F(FrameGuardTest, AClientTakesTheAnswerToItsSpawnRequest) {
  auto guard = greeted(frame_role::client);
  const auto answer = bytes_of(caf::make_message(caf::strong_actor_ptr{}));
  EXPECT_EQ(judge_message(guard, answer), frame_verdict::pass);
  auto server = greeted();
  EXPECT_EQ(judge_message(server, answer), frame_verdict::drop);
}

TEST_F(FrameGuardTest, SurvivesAnyBytes) {
  const auto* given = std::getenv("CAIRN_SEED");
  const auto seed = given != nullptr ? std::stoull(given) : std::random_device{}();
  SCOPED_TRACE(::testing::Message() << "CAIRN_SEED=" << seed);
  std::mt19937_64 random(seed);
  const auto message =
    bytes_of(std::vector<caf::strong_actor_ptr>{}, caf::make_message(archive_key_entire{}));
  for (int i = 0; i < 20'000; ++i) {
    auto guard = greeted();
    auto payload = message;
    const auto number = random() % 2 == 0 ? random() : random() % 16 << 60U | random() % 3;
    auto header = header_of(static_cast<message_type>(random() % 8), payload.size(), random() % 3,
                            random() % 3, static_cast<std::uint8_t>(random() % 4), number);
    for (auto changes = random() % 4; changes > 0; --changes) {
      payload[random() % payload.size()] = static_cast<char>(random());
      if (random() % 4 == 0)
        payload.resize(1 + random() % payload.size());
    }
    frame_header read;
    header[4 + random() % 4] = static_cast<char>(random() % 2); // its length
    if (guard.judge_header(header, read) == frame_verdict::pass && read.payload_bytes <= payload.size())
      guard.judge_payload(read, std::string_view(payload).substr(0, read.payload_bytes));
  }
}

} // namespace

} // namespace cairn
