BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0005');
CREATE TABLE allowances (
	subject VARCHAR(300) NOT NULL, 
	day VARCHAR(10) NOT NULL, 
	tokens BIGINT NOT NULL, 
	messages INTEGER NOT NULL, 
	CONSTRAINT pk_allowances PRIMARY KEY (subject, day)
);
INSERT INTO "allowances" VALUES('person:fake:5','2026-01-31',37,1);
INSERT INTO "allowances" VALUES('chat:fake:1:-1007','2026-01-31',37,1);
CREATE TABLE choices (
	scope VARCHAR(300) NOT NULL, 
	name VARCHAR(40) NOT NULL, 
	value TEXT NOT NULL, 
	chosen_by VARCHAR(200) NOT NULL, 
	CONSTRAINT pk_choices PRIMARY KEY (scope, name)
);
INSERT INTO "choices" VALUES('memory:fake:1:5::','recall','on','');
INSERT INTO "choices" VALUES('memory:fake:1:-1007::6','recall since','8','');
INSERT INTO "choices" VALUES('memory:fake:1:-1007::6','recall','off','');
INSERT INTO "choices" VALUES('person:fake:5','model','meta-llama/Llama-3.3-70B-Instruct','Ann');
INSERT INTO "choices" VALUES('chat:fake:1:-1007','share','on','Ann');
INSERT INTO "choices" VALUES('thread:discord:2:20:21','system','Be brief.','Ann');
INSERT INTO "choices" VALUES('server:discord:40','length','500','Ann');
CREATE TABLE conversations (
	id INTEGER NOT NULL, 
	"key" VARCHAR(400) NOT NULL, 
	seq INTEGER DEFAULT '0' NOT NULL, 
	since INTEGER DEFAULT '0' NOT NULL, 
	told_cut BOOLEAN DEFAULT false NOT NULL, 
	CONSTRAINT pk_conversations PRIMARY KEY (id), 
	CONSTRAINT uq_conversations_key UNIQUE ("key")
);
INSERT INTO "conversations" VALUES(1,'fake:1:5::',5,2,1);
INSERT INTO "conversations" VALUES(2,'fake:1:-1007::6',5,0,0);
INSERT INTO "conversations" VALUES(3,'fake:1:-1007::8',1,0,0);
INSERT INTO "conversations" VALUES(4,'fake:1:9::',1,0,0);
INSERT INTO "conversations" VALUES(5,'discord:2:20:21:5',1,0,0);
CREATE TABLE documents (
	id INTEGER NOT NULL, 
	scope VARCHAR(400) NOT NULL, 
	number INTEGER NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	name VARCHAR(200) NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	pieces INTEGER NOT NULL, 
	created FLOAT NOT NULL, 
	CONSTRAINT pk_documents PRIMARY KEY (id), 
	CONSTRAINT uq_documents_scope_number UNIQUE (scope, number)
);
INSERT INTO "documents" VALUES(1,'fake:1:5::',1,'note','The code is 1234','note-digest',1,1.79590871737098550795e+09);
INSERT INTO "documents" VALUES(2,'fake:1:5::',2,'pdf','report.pdf','pdf-digest',2,1.79590871737698030475e+09);
CREATE TABLE grants (
	subject VARCHAR(200) NOT NULL, 
	role VARCHAR(16) NOT NULL, 
	name VARCHAR(200) NOT NULL, 
	created FLOAT NOT NULL, 
	CONSTRAINT pk_grants PRIMARY KEY (subject)
);
INSERT INTO "grants" VALUES('fake:person:5','operator','Ann',1.79590871740099930755e+09);
INSERT INTO "grants" VALUES('fake:chat:-1007','member','',1.79590871740301108363e+09);
CREATE TABLE keys (
	person VARCHAR(200) NOT NULL, 
	secret TEXT NOT NULL, 
	created FLOAT NOT NULL, 
	CONSTRAINT pk_keys PRIMARY KEY (person)
);
INSERT INTO "keys" VALUES('fake:5','gAAAAABrC2RteNY2uWKSnqbUlP68w0jBZIgjuJHEXKRyb71xMnZ7l5rFacBcnPzu34d0StWtt0ecL4gwiiYsEwRodQ1D6ZqxQg==',1.79590871751401424407e+09);
CREATE TABLE leases (
	name VARCHAR(200) NOT NULL, 
	owner VARCHAR(64) NOT NULL, 
	until FLOAT NOT NULL, 
	CONSTRAINT pk_leases PRIMARY KEY (name)
);
INSERT INTO "leases" VALUES('telegram:polling','earlier',2.79590871741001129155e+09);
CREATE TABLE memories (
	id INTEGER NOT NULL, 
	scope VARCHAR(400) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	document INTEGER, 
	position INTEGER NOT NULL, 
	label VARCHAR(200) NOT NULL, 
	text TEXT NOT NULL, 
	model VARCHAR(200) NOT NULL, 
	vector BLOB NOT NULL, 
	created FLOAT NOT NULL, 
	CONSTRAINT pk_memories PRIMARY KEY (id), 
	CONSTRAINT fk_memories_document FOREIGN KEY(document) REFERENCES documents (id) ON DELETE CASCADE
);
INSERT INTO "memories" VALUES(1,'fake:1:5::','note',1,0,'note','The code is 1234','some/embedder',X'0000803F000000000000000000000000',1.79590871737098550795e+09);
INSERT INTO "memories" VALUES(2,'fake:1:5::','piece',2,0,'page 1','Text of page 1.','some/embedder',X'000000000000803F0000000000000000',1.79590871737698030475e+09);
INSERT INTO "memories" VALUES(3,'fake:1:5::','piece',2,1,'page 2','Text of page 2.','some/embedder',X'00000000000000000000803F00000000',1.79590871737698030475e+09);
INSERT INTO "memories" VALUES(4,'fake:1:5::','message',NULL,1,'','before /new','some/embedder',X'0000000000000000000000000000803F',1.79590871738599252701e+09);
CREATE TABLE messages (
	id INTEGER NOT NULL, 
	conversation INTEGER NOT NULL, 
	turn INTEGER NOT NULL, 
	role VARCHAR(16) NOT NULL, 
	text TEXT NOT NULL, 
	replaced BOOLEAN DEFAULT false NOT NULL, 
	created FLOAT NOT NULL, 
	CONSTRAINT pk_messages PRIMARY KEY (id), 
	CONSTRAINT fk_messages_conversation FOREIGN KEY(conversation) REFERENCES conversations (id)
);
INSERT INTO "messages" VALUES(1,1,1,'user','before /new',0,1.79590871561999917025e+09);
INSERT INTO "messages" VALUES(2,1,1,'assistant','forgotten',0,1.79590871562100505825e+09);
INSERT INTO "messages" VALUES(3,1,3,'user','What is "ref": for?',1,1.79590871574098014835e+09);
INSERT INTO "messages" VALUES(4,1,3,'assistant','The first answer.',1,1.79590871574098014835e+09);
INSERT INTO "messages" VALUES(5,1,4,'user','What is "ref": for?',0,1.79590871575498127934e+09);
INSERT INTO "messages" VALUES(6,1,4,'assistant','The second answer.',0,1.79590871575498127934e+09);
INSERT INTO "messages" VALUES(7,2,5,'user','first
second
third',0,1.79590871729900836942e+09);
INSERT INTO "messages" VALUES(8,2,5,'assistant','An answer to all.',0,1.79590871729900836942e+09);
INSERT INTO "messages" VALUES(9,3,10,'user','a long question',0,1.79590871730798029896e+09);
INSERT INTO "messages" VALUES(10,3,10,'assistant','A long answer.',0,1.79590871730898618691e+09);
CREATE TABLE parts (
	turn INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	message VARCHAR(200), 
	digest VARCHAR(64) NOT NULL, 
	CONSTRAINT pk_parts PRIMARY KEY (turn, position), 
	CONSTRAINT fk_parts_turn FOREIGN KEY(turn) REFERENCES turns (id)
);
INSERT INTO "parts" VALUES(10,0,'sent','','a');
INSERT INTO "parts" VALUES(10,1,'sending',NULL,'b');
INSERT INTO "parts" VALUES(10,2,'uncertain',NULL,'c');
INSERT INTO "parts" VALUES(10,3,'dead',NULL,'d');
INSERT INTO "parts" VALUES(10,4,'sent','35','e');
CREATE TABLE requests (
	id INTEGER NOT NULL, 
	account VARCHAR(40) NOT NULL, 
	model VARCHAR(200) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	day VARCHAR(10) NOT NULL, 
	tokens BIGINT NOT NULL, 
	created FLOAT NOT NULL, 
	CONSTRAINT pk_requests PRIMARY KEY (id)
);
INSERT INTO "requests" VALUES(1,'bot-key','meta-llama/Llama-3.3-70B-Instruct','chat','2026-01-31',900,1.79590871743000745773e+09);
CREATE TABLE spending (
	account VARCHAR(40) NOT NULL, 
	model VARCHAR(200) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	day VARCHAR(10) NOT NULL, 
	tokens BIGINT NOT NULL, 
	requests INTEGER NOT NULL, 
	exhausted BOOLEAN DEFAULT false NOT NULL, 
	CONSTRAINT pk_spending PRIMARY KEY (account, model, kind, day)
);
INSERT INTO "spending" VALUES('bot-key','meta-llama/Llama-3.3-70B-Instruct','chat','2026-01-31',37,1,0);
INSERT INTO "spending" VALUES('bot-key','other/model','chat','2026-01-31',0,0,1);
INSERT INTO "spending" VALUES('bot-key','meta-llama/Llama-3.3-70B-Instruct','embeddings','2026-01-31',4,1,0);
CREATE TABLE state (
	name VARCHAR(200) NOT NULL, 
	value TEXT NOT NULL, 
	CONSTRAINT pk_state PRIMARY KEY (name)
);
INSERT INTO "state" VALUES('catalogue','[{"id":"meta-llama/Llama-3.3-70B-Instruct","context":64000,"reasons":true,"vision":false,"embeds":false,"daily_quota":500000},{"id":"some/embedder","context":512,"reasons":false,"vision":false,"embeds":true,"daily_quota":null}]');
INSERT INTO "state" VALUES('discord.missed.2.1.0','3 session');
INSERT INTO "state" VALUES('pairing','1065d88dc6d9568114950dbc22118e5991a25573485c7462d88f86b4c87ff846 1795912317.407381');
CREATE TABLE summaries (
	conversation INTEGER NOT NULL, 
	upto INTEGER NOT NULL, 
	text TEXT NOT NULL, 
	model VARCHAR(200) NOT NULL, 
	created FLOAT NOT NULL, 
	CONSTRAINT pk_summaries PRIMARY KEY (conversation), 
	CONSTRAINT fk_summaries_conversation FOREIGN KEY(conversation) REFERENCES conversations (id)
);
INSERT INTO "summaries" VALUES(1,6,'They talked about JSON.','meta-llama/Llama-3.3-70B-Instruct',1.79590871576499938968e+09);
CREATE TABLE thoughts (
	turn INTEGER NOT NULL, 
	text TEXT NOT NULL, 
	CONSTRAINT pk_thoughts PRIMARY KEY (turn), 
	CONSTRAINT fk_thoughts_turn FOREIGN KEY(turn) REFERENCES turns (id)
);
INSERT INTO "thoughts" VALUES(3,'They ask about JSON.');
CREATE TABLE turns (
	id INTEGER NOT NULL, 
	conversation INTEGER NOT NULL, 
	seq INTEGER, 
	"key" VARCHAR(200) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	incoming TEXT NOT NULL, 
	owner VARCHAR(64), 
	lease_until FLOAT DEFAULT '0' NOT NULL, 
	attempt INTEGER DEFAULT '0' NOT NULL, 
	cancel BOOLEAN DEFAULT false NOT NULL, 
	person VARCHAR(200) NOT NULL, 
	model VARCHAR(200), 
	note TEXT, 
	prompt_tokens INTEGER DEFAULT '0' NOT NULL, 
	completion_tokens INTEGER DEFAULT '0' NOT NULL, 
	created FLOAT NOT NULL, 
	finished FLOAT, buttons TEXT, own_key BOOLEAN DEFAULT false NOT NULL, 
	CONSTRAINT pk_turns PRIMARY KEY (id), 
	CONSTRAINT fk_turns_conversation FOREIGN KEY(conversation) REFERENCES conversations (id), 
	CONSTRAINT uq_turns_key UNIQUE ("key")
);
INSERT INTO "turns" VALUES(1,1,1,'fake:1:u0','done','{"kind":"prompt","key":"u0","place":{"platform":"fake","account":"1","chat":"5","thread":null,"private":true,"server":null},"sender":{"platform":"fake","user":"5","name":"Ann","language":"en","is_bot":false,"manages":true},"text":"before /new","message":null,"command":"","reply_to":null,"attachments":[],"batch":null,"pieces":[],"ticket":null}','earlier',1.79590871561098694799e+09,1,0,'fake:5','meta-llama/Llama-3.3-70B-Instruct','',30,7,1.79590871560298061368e+09,1.79590871562301659589e+09,NULL,0);
INSERT INTO "turns" VALUES(2,1,NULL,'fake:1:u1','done','{"kind":"command","key":"u1","place":{"platform":"fake","account":"1","chat":"5","thread":null,"private":true,"server":null},"sender":{"platform":"fake","user":"5","name":"Ann","language":"en","is_bot":false,"manages":true},"text":"","message":null,"command":"new","reply_to":null,"attachments":[],"batch":null,"pieces":[],"ticket":null}','earlier',1.79590871563198852542e+09,1,0,'fake:5',NULL,NULL,0,0,1.79590871562800550456e+09,1.7959087156379833221e+09,NULL,0);
INSERT INTO "turns" VALUES(3,1,2,'fake:1:u2','done','{"kind":"prompt","key":"u2","place":{"platform":"fake","account":"1","chat":"5","thread":null,"private":true,"server":null},"sender":{"platform":"fake","user":"5","name":"Ann","language":"en","is_bot":false,"manages":true},"text":"What is \"ref\": for?","message":"2","command":"","reply_to":"1","attachments":[],"batch":null,"pieces":[],"ticket":null}','earlier',1.79590871573498535155e+09,1,0,'fake:5','meta-llama/Llama-3.3-70B-Instruct','full',30,7,1.79590871564200663568e+09,1.79590871574299192426e+09,'[{"label":"Retry","action":"retry:3","danger":false},{"label":"Reasoning","action":"think:3","danger":true}]',1);
INSERT INTO "turns" VALUES(4,1,3,'fake:1:u3','done','{"kind":"command","key":"u3","place":{"platform":"fake","account":"1","chat":"5","thread":null,"private":true,"server":null},"sender":{"platform":"fake","user":"5","name":"Ann","language":"en","is_bot":false,"manages":true},"text":"","message":null,"command":"retry","reply_to":null,"attachments":[],"batch":null,"pieces":[],"ticket":null}','earlier',1.79590871574999237062e+09,1,0,'fake:5','meta-llama/Llama-3.3-70B-Instruct','',30,7,1.79590871574701523775e+09,1.79590871575699305537e+09,NULL,0);
INSERT INTO "turns" VALUES(5,2,1,'fake:1:b0','done','{"kind":"prompt","key":"b0","place":{"platform":"fake","account":"1","chat":"-7","thread":null,"private":false,"server":null},"sender":{"platform":"fake","user":"6","name":"Bob","language":null,"is_bot":false,"manages":false},"text":"first\nsecond\nthird","message":"10","command":"","reply_to":null,"attachments":[{"kind":"file","name":"a.txt","size":12,"ref":"file-a","media_type":"text/plain"},{"kind":"photo","name":"","size":0,"ref":"photo-b","media_type":""}],"batch":"album","pieces":[["10",5],["11",6],["12",5]],"ticket":null}','earlier',1.79590871729498505592e+09,1,0,'fake:6','meta-llama/Llama-3.3-70B-Instruct','',30,7,1.79590871576898241041e+09,1.79590871730102014536e+09,NULL,0);
INSERT INTO "turns" VALUES(6,2,NULL,'fake:1:b1','done','{"kind":"prompt","key":"b1","place":{"platform":"fake","account":"1","chat":"-7","thread":null,"private":false,"server":null},"sender":{"platform":"fake","user":"6","name":"Bob","language":null,"is_bot":false,"manages":false},"text":"second","message":"11","command":"","reply_to":null,"attachments":[{"kind":"photo","name":"","size":0,"ref":"photo-b","media_type":""}],"batch":"album","pieces":[],"ticket":null}',NULL,0.0,0,0,'fake:6',NULL,'joined',0,0,1.79590871577501749994e+09,1.79590871577501749994e+09,NULL,0);
INSERT INTO "turns" VALUES(7,2,NULL,'fake:1:b2','done','{"kind":"prompt","key":"b2","place":{"platform":"fake","account":"1","chat":"-7","thread":null,"private":false,"server":null},"sender":{"platform":"fake","user":"6","name":"Bob","language":null,"is_bot":false,"manages":false},"text":"third","message":"12","command":"","reply_to":null,"attachments":[],"batch":"album","pieces":[],"ticket":null}',NULL,0.0,0,0,'fake:6',NULL,'joined',0,0,1.79590871577900052066e+09,1.79590871577900052066e+09,NULL,0);
INSERT INTO "turns" VALUES(8,2,NULL,'fake:1:b5','running','{"kind":"prompt","key":"b5","place":{"platform":"fake","account":"1","chat":"-1007","thread":null,"private":false,"server":null},"sender":{"platform":"fake","user":"6","name":"Bob","language":null,"is_bot":false,"manages":false},"text":"too many","message":null,"command":"","reply_to":null,"attachments":[],"batch":null,"pieces":[],"ticket":null}','earlier',1.79590871734298324589e+09,3,0,'fake:6',NULL,'full',0,0,1.79590871578398942947e+09,NULL,NULL,0);
INSERT INTO "turns" VALUES(9,2,NULL,'fake:1:b6','done','{"kind":"prompt","key":"b6","place":{"platform":"fake","account":"1","chat":"-7","thread":null,"private":false,"server":null},"sender":{"platform":"fake","user":"6","name":"Bob","language":null,"is_bot":false,"manages":false},"text":"too fast","message":null,"command":"","reply_to":null,"attachments":[],"batch":null,"pieces":[],"ticket":null}','earlier',1.79590871729498505592e+09,1,0,'fake:6',NULL,'fast',0,0,1.79590871578901863101e+09,1.79590871729699659347e+09,NULL,0);
INSERT INTO "turns" VALUES(10,3,1,'fake:1:c1','delivering','{"kind":"prompt","key":"c1","place":{"platform":"fake","account":"1","chat":"-1007","thread":null,"private":false,"server":null},"sender":{"platform":"fake","user":"8","name":"Carol","language":null,"is_bot":false,"manages":false},"text":"a long question","message":null,"command":"","reply_to":null,"attachments":[],"batch":null,"pieces":[],"ticket":null}','earlier',1.79590871734298324589e+09,2,0,'fake:8','meta-llama/Llama-3.3-70B-Instruct','A note.',30,7,1.79590871730399727823e+09,NULL,NULL,0);
INSERT INTO "turns" VALUES(11,1,4,'fake:1:u4','running','{"kind":"prompt","key":"u4","place":{"platform":"fake","account":"1","chat":"5","thread":null,"private":true,"server":null},"sender":{"platform":"fake","user":"5","name":"Ann","language":"en","is_bot":false,"manages":true},"text":"repeat: begun before the update","message":"40","command":"","reply_to":null,"attachments":[],"batch":null,"pieces":[],"ticket":null}','earlier',1.79590871734298324589e+09,1,0,'fake:5',NULL,NULL,0,0,1.79590871733598256114e+09,NULL,NULL,0);
INSERT INTO "turns" VALUES(12,1,5,'fake:1:u5','queued','{"kind":"prompt","key":"u5","place":{"platform":"fake","account":"1","chat":"5","thread":null,"private":true,"server":null},"sender":{"platform":"fake","user":"5","name":"Ann","language":"en","is_bot":false,"manages":true},"text":"repeat: waiting since before","message":null,"command":"","reply_to":null,"attachments":[],"batch":null,"pieces":[],"ticket":null}',NULL,0.0,0,0,'fake:5',NULL,NULL,0,0,1.79590871734801244734e+09,NULL,NULL,0);
INSERT INTO "turns" VALUES(13,4,1,'fake:1:d1','queued','{"kind":"prompt","key":"d1","place":{"platform":"fake","account":"1","chat":"9","thread":null,"private":true,"server":null},"sender":{"platform":"fake","user":"9","name":"Dan","language":null,"is_bot":false,"manages":false},"text":"repeat: the first half","message":null,"command":"","reply_to":null,"attachments":[],"batch":"","pieces":[],"ticket":null}',NULL,1.79590871855199551588e+09,0,0,'fake:9',NULL,NULL,0,0,1.7959087173519954682e+09,NULL,NULL,0);
INSERT INTO "turns" VALUES(14,5,1,'discord:2:i1','running','{"kind":"command","key":"i1","place":{"platform":"discord","account":"2","chat":"20","thread":"21","private":false,"server":"40"},"sender":{"platform":"discord","user":"5","name":"Ann","language":"en","is_bot":false,"manages":true},"text":"hello","message":null,"command":"ask","reply_to":null,"attachments":[],"batch":null,"pieces":[],"ticket":"token-of-i1"}','earlier',2.79590871736100769046e+09,1,1,'discord:5',NULL,NULL,0,0,1.79590871735799026487e+09,NULL,NULL,0);
CREATE TABLE waits (
	account VARCHAR(200) NOT NULL, 
	chat VARCHAR(200) NOT NULL, 
	until FLOAT NOT NULL, 
	CONSTRAINT pk_waits PRIMARY KEY (account, chat)
);
INSERT INTO "waits" VALUES('fake:1','-8',2.79590871741500043867e+09);
INSERT INTO "waits" VALUES('discord:2','',2.79590871741701221461e+09);
CREATE INDEX ix_messages_conversation ON messages (conversation, id);
CREATE INDEX ix_messages_turn ON messages (turn);
CREATE INDEX ix_turns_conversation ON turns (conversation, id);
CREATE INDEX ix_turns_next ON turns (conversation, seq) WHERE finished IS NULL;
CREATE INDEX ix_turns_open ON turns (id) WHERE finished IS NULL;
CREATE INDEX ix_turns_person ON turns (person, created);
CREATE INDEX ix_turns_person_open ON turns (person) WHERE finished IS NULL;
CREATE INDEX ix_memories_scope ON memories (scope, kind, position);
CREATE INDEX ix_memories_document ON memories (document);
COMMIT;
