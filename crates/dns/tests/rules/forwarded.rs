//! What goes to other servers and comes back from them.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use perilune_dns::{Cache, Question, is_helpful};

use crate::site::{NOW, query};

fn asked() -> (Message, Question) {
    let message = query("Www.example.org.", RecordType::A);
    let question = Question::read(&message.to_vec().unwrap()).unwrap();
    (message, question)
}

fn answer(question: &Question, id: u16, records: u8) -> Message {
    let mut answer = Message::from_vec(&question.to_server(id)).unwrap().into_response();
    answer.metadata.authoritative = true;
    answer.metadata.authentic_data = true;
    let name = answer.queries[0].name.clone();
    for last in 0..records {
        let data = RData::A(A::new(192, 0, 2, last));
        answer.add_answer(Record::from_rdata(name.clone(), 100, data));
    }
    answer
}

#[test]
fn a_question_goes_on_with_nothing_of_the_client_but_what_it_wants() {
    let (message, question) = asked();
    let sent = Message::from_vec(&question.to_server(99)).unwrap();
    assert_eq!((sent.id, &sent.queries), (99, &message.queries));
    assert!(sent.recursion_desired && sent.edns.is_some());
}

#[test]
fn an_answer_is_taken_by_number_and_question() {
    let (_, question) = asked();
    let right = answer(&question, 99, 1).to_vec().unwrap();
    assert!(question.is_answered_by(&right, 99));
    assert!(!question.is_answered_by(&right, 98));
    assert!(!question.is_answered_by(&question.to_server(99), 99), "a question is no answer");
    let other =
        Question::read(&query("www.example.com.", RecordType::A).to_vec().unwrap()).unwrap();
    assert!(!other.is_answered_by(&right, 99));
    for length in 0..right.len() {
        assert!(!question.is_answered_by(&right[..length], 99), "{length}");
    }
}

#[test]
fn the_client_gets_its_own_number_and_no_claim_of_ours() {
    let (message, question) = asked();
    let upstream = answer(&question, 99, 2).to_vec().unwrap();
    let told = Message::from_vec(&question.to_client(&upstream, true)).unwrap();
    assert_eq!((told.id, &told.queries), (message.id, &message.queries));
    assert_eq!(told.answers.len(), 2);
    assert!(told.recursion_available && told.recursion_desired);
    assert!(!told.authoritative && !told.authentic_data);
    let failed = Message::from_vec(&question.failed()).unwrap();
    assert_eq!((failed.id, failed.response_code), (message.id, ResponseCode::ServFail));
}

#[test]
fn what_is_too_large_for_the_client_is_cut() {
    let (_, question) = asked();
    let upstream = answer(&question, 99, 200).to_vec().unwrap();
    assert!(upstream.len() > 1232);
    let cut = question.to_client(&upstream, true);
    let told = Message::from_vec(&cut).unwrap();
    assert!(told.truncation && told.answers.is_empty() && cut.len() < 512);
    assert_eq!(
        Message::from_vec(&question.to_client(&upstream, false)).unwrap().answers.len(),
        200
    );
}

#[test]
fn answers_are_kept_for_as_long_as_they_say() {
    let (_, question) = asked();
    let mut cache = Cache::default();
    cache.put(&question, &answer(&question, 99, 1).to_vec().unwrap(), NOW);
    let lower = query("www.example.org.", RecordType::A).to_vec().unwrap();
    let lower = Question::read(&lower).unwrap();
    let ttl = |after: u64| {
        let kept = cache.get(&lower, NOW + after)?;
        Some(Message::from_vec(&kept).unwrap().answers[0].ttl)
    };
    assert_eq!(
        (ttl(0), ttl(40_500), ttl(99_999), ttl(100_000)),
        (Some(100), Some(60), Some(1), None)
    );
    let mut without = query("www.example.org.", RecordType::A);
    without.edns = None;
    let without = Question::read(&without.to_vec().unwrap()).unwrap();
    assert!(cache.get(&without, NOW).is_none(), "an extension that was not asked for is no answer");
}

#[test]
fn what_says_nothing_for_sure_is_not_kept() {
    let (_, question) = asked();
    let mut cache = Cache::default();
    let mut kept = |message: &Message| {
        cache.put(&question, &message.to_vec().unwrap(), NOW);
        cache.get(&question, NOW).is_some()
    };
    let mut failed = answer(&question, 99, 1);
    failed.metadata.response_code = ResponseCode::ServFail;
    assert!(!is_helpful(&failed.to_vec().unwrap()) && !kept(&failed));
    let mut cut = answer(&question, 99, 1);
    cut.metadata.truncation = true;
    assert!(!kept(&cut));
    let mut nothing = answer(&question, 99, 0);
    nothing.metadata.response_code = ResponseCode::NXDomain;
    assert!(!kept(&nothing));
    let root = Name::root();
    let soa = SOA::new(root.clone(), root.clone(), 1, 2, 3, 4, 60);
    nothing.add_authority(Record::from_rdata(root, 60, RData::SOA(soa)));
    assert!(is_helpful(&nothing.to_vec().unwrap()) && kept(&nothing));
}

#[test]
fn a_full_cache_forgets_what_came_first() {
    let mut cache = Cache::default();
    let questions: Vec<Question> = (0..4100)
        .map(|number| query(&format!("h{number}.example.org."), RecordType::A).to_vec().unwrap())
        .map(|bytes| Question::read(&bytes).unwrap())
        .collect();
    for question in &questions {
        cache.put(question, &answer(question, 1, 1).to_vec().unwrap(), NOW);
    }
    let kept = questions.iter().filter(|question| cache.get(question, NOW).is_some()).count();
    assert_eq!(kept, 4096);
    assert!(cache.get(&questions[0], NOW).is_none());
}
